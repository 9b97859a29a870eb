#include "store/registry.h"

#include <algorithm>
#include <iterator>
#include <system_error>
#include <utility>

#include "base/file.h"
#include "crypto/blake3.h"

namespace pie::store {
namespace {

namespace fs = std::filesystem;

Error not_found() { return {ErrorCode::kNotFound, "Program not found"}; }

bool is_absent(const std::error_code& failed) {
  return failed == std::errc::no_such_file_or_directory || failed == std::errc::not_a_directory;
}

/// "Program not found" where nothing is there; any other reason is told as it is.
Error failure(const fs::path& path, const std::error_code& failed) {
  return is_absent(failed) ? not_found() : system_error("registry", path, failed.value());
}

/// What a program's file ends with: a component, or an archive that a runtime runs.
constexpr const char* kEndings[] = {".wasm", ".zip"};

bool is_program(const fs::path& file) {
  return std::any_of(std::begin(kEndings), std::end(kEndings),
                     [&](const char* ending) { return file.extension() == ending; });
}

/// Shows `choice` the versions of the folder's programs.
Result<void> offer_versions(const fs::path& folder, VersionChoice& choice) {
  std::error_code failed;
  for (fs::directory_iterator i(folder, failed), end; !failed && i != end; i.increment(failed)) {
    if (!is_program(i->path())) continue;
    const auto version = Version::parse(i->path().stem().string());
    if (version.ok()) choice.offer(*version);
  }
  if (failed && !is_absent(failed)) return failure(folder, failed);
  return {};
}

}  // namespace

Result<fs::path> Registry::locate(const ProgramName& name) const {
  VersionChoice choice(name);
  for (const auto& root : roots_) {
    const fs::path folder = root / name.ns / name.name;
    std::optional<std::string> version = name.version;
    if (!version) {
      PIE_TRY(offer_versions(folder, choice));
      if (choice.chosen()) version = choice.chosen()->text();
    }
    if (!version) continue;
    for (const char* ending : kEndings) {
      const fs::path file = folder / (*version + ending);
      std::error_code failed;
      if (fs::is_regular_file(file, failed)) return file;
      if (failed && !is_absent(failed)) return failure(file, failed);
    }
  }
  return choice.not_found();
}

Result<std::string> Registry::hash_of(const fs::path& wasm) {
  std::error_code failed;
  Hashed now{fs::last_write_time(wasm, failed), fs::file_size(wasm, failed), {}};
  if (failed) return failure(wasm, failed);
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
  PIE_TRY_ASSIGN(const fs::path wasm, locate(name));
  NamedProgram found;
  found.name = name;
  found.name.version = wasm.stem().string();
  PIE_TRY_ASSIGN(found.hash, hash_of(wasm));
  PIE_TRY_ASSIGN(found.manifest, manifest_beside(wasm));
  return found;
}

Result<std::string> Registry::manifest_beside(fs::path wasm) {
  auto text = read_file(wasm.replace_extension(".toml"));
  if (!text.ok() && text.error().code == ErrorCode::kNotFound) return std::string();
  return text;
}

std::optional<fs::path> Registry::hashed_file(const std::string& hash) {
  const std::lock_guard lock(mutex_);
  for (const auto& [file, known] : hashes_)
    if (known.hash == hash) return file;
  return std::nullopt;
}

Result<void> Registry::hash_all() {
  for (const auto& root : roots_) {
    std::error_code failed;
    for (fs::recursive_directory_iterator i(root, failed), end; !failed && i != end;
         i.increment(failed)) {
      if (i.depth() != 2 || !is_program(i->path())) continue;
      const auto hash = hash_of(i->path());  // kNotFound: it went away meanwhile
      if (!hash.ok() && hash.error().code != ErrorCode::kNotFound) return hash.error();
    }
    if (failed && !is_absent(failed)) return failure(root, failed);
  }
  return {};
}

Result<fs::path> Registry::file_with(const std::string& hash) {
  auto path = hashed_file(hash);
  if (!path) {
    PIE_TRY(hash_all());
    path = hashed_file(hash);
  }
  if (!path) return not_found();
  return *path;
}

Result<BlobRef> Registry::wasm(const std::string& hash) {
  PIE_TRY_ASSIGN(const fs::path path, file_with(hash));
  PIE_TRY_ASSIGN(const std::string now, hash_of(path));
  if (now != hash) return not_found();
  return open_file_blob(path);
}

Result<NamedProgram> Registry::find_hash(const std::string& hash) {
  PIE_TRY_ASSIGN(const fs::path path, file_with(hash));
  PIE_TRY_ASSIGN(std::string manifest, manifest_beside(path));
  return NamedProgram{{path.parent_path().parent_path().filename().string(),
                       path.parent_path().filename().string(), path.stem().string()},
                      hash,
                      std::move(manifest)};
}

}  // namespace pie::store
