#include "store/registry.h"

#include <system_error>

#include "base/file.h"
#include "crypto/blake3.h"

namespace pie::store {
namespace {

namespace fs = std::filesystem;

Error not_found() { return {ErrorCode::kNotFound, "Program not found"}; }

/// The newest version among the folder's wasm files.
std::optional<Version> newest_version(const fs::path& folder) {
  std::optional<Version> newest;
  std::error_code failed;
  for (fs::directory_iterator i(folder, failed), end; !failed && i != end; i.increment(failed)) {
    if (i->path().extension() != ".wasm") continue;
    auto version = Version::parse(i->path().stem().string());
    if (version.ok() && (!newest || *newest < *version)) newest = std::move(version).value();
  }
  return newest;
}

}  // namespace

std::optional<fs::path> Registry::locate(const ProgramName& name) const {
  for (const auto& root : roots_) {
    const fs::path folder = root / name.ns / name.name;
    std::optional<std::string> version = name.version;
    if (!version)
      if (const auto newest = newest_version(folder)) version = newest->text();
    std::error_code failed;
    if (version && fs::is_regular_file(folder / (*version + ".wasm"), failed))
      return folder / (*version + ".wasm");
  }
  return std::nullopt;
}

Result<std::string> Registry::hash_of(const fs::path& wasm) {
  std::error_code failed;
  Hashed now{fs::last_write_time(wasm, failed), fs::file_size(wasm, failed), {}};
  if (failed) return not_found();
  {
    const std::lock_guard lock(mutex_);
    const auto known = hashes_.find(wasm);
    if (known != hashes_.end() && known->second.written == now.written &&
        known->second.bytes == now.bytes)
      return known->second.hash;
  }
  PIE_TRY_ASSIGN(const std::string bytes, read_file(wasm));
  now.hash = crypto::blake3_hex(bytes);
  const std::lock_guard lock(mutex_);
  hashes_[wasm] = now;
  return now.hash;
}

Result<NamedProgram> Registry::find(const ProgramName& name) {
  const auto wasm = locate(name);
  if (!wasm) return not_found();
  NamedProgram found;
  found.name = name;
  found.name.version = wasm->stem().string();
  PIE_TRY_ASSIGN(found.hash, hash_of(*wasm));
  found.manifest = manifest_beside(*wasm);
  return found;
}

std::string Registry::manifest_beside(fs::path wasm) {
  auto text = read_file(wasm.replace_extension(".toml"));
  return text.ok() ? std::move(text).value() : std::string();
}

std::optional<fs::path> Registry::hashed_file(const std::string& hash) {
  const std::lock_guard lock(mutex_);
  for (const auto& [file, known] : hashes_)
    if (known.hash == hash) return file;
  return std::nullopt;
}

void Registry::hash_all() {
  for (const auto& root : roots_) {
    std::error_code failed;
    for (fs::recursive_directory_iterator i(root, failed), end; !failed && i != end;
         i.increment(failed)) {
      const bool is_program = i->path().extension() == ".wasm" && i.depth() == 2;
      if (is_program && !hash_of(i->path()).ok()) continue;  // it went away meanwhile
    }
  }
}

Result<fs::path> Registry::file_with(const std::string& hash) {
  auto path = hashed_file(hash);
  if (!path) {
    hash_all();
    path = hashed_file(hash);
  }
  if (!path) return not_found();
  return *path;
}

Result<std::string> Registry::wasm(const std::string& hash) {
  PIE_TRY_ASSIGN(const fs::path path, file_with(hash));
  PIE_TRY_ASSIGN(std::string bytes, read_file(path));
  if (crypto::blake3_hex(bytes) != hash) return not_found();
  return bytes;
}

Result<NamedProgram> Registry::find_hash(const std::string& hash) {
  PIE_TRY_ASSIGN(const fs::path path, file_with(hash));
  return NamedProgram{{path.parent_path().parent_path().filename().string(),
                       path.parent_path().filename().string(), path.stem().string()},
                      hash,
                      manifest_beside(path)};
}

}  // namespace pie::store
