#include "wasm/compile_cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <ctime>
#include <fstream>
#include <system_error>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "wasm/checksum.h"

namespace pie::wasm {
namespace {

/// What follows the compiled code in a file, so that the code itself is mapped from its start.
struct Trailer {
  char magic[8] = {'p', 'i', 'e', 'c', 'w', 'a', 's', '2'};
  char fingerprint[16] = {};
  uint64_t size_bytes = 0;
  uint64_t sum = 0;
};

/// A file of the folder, by when it was last used.
struct Kept {
  std::filesystem::path path;
  uint64_t size_bytes = 0;
  timespec used{};

  bool operator<(const Kept& other) const {
    return std::pair(used.tv_sec, used.tv_nsec) < std::pair(other.used.tv_sec, other.used.tv_nsec);
  }
};

/// Notes the use in the file's access time; its other times tell when it was written.
void note_use(const std::filesystem::path& file) {
  timespec times[2] = {};
  times[0].tv_nsec = UTIME_NOW;
  times[1].tv_nsec = UTIME_OMIT;
  ::utimensat(AT_FDCWD, file.c_str(), times, 0);
}

Error invalid(std::string message) {
  return {ErrorCode::kInvalidArgument, "[component] " + std::move(message)};
}

/// WebAssembly's preamble: magic, then version and layer (binary format, section 5.5.16; component
/// model, Binary.md: version 0x0d, layer 1).
Result<void> check_preamble(std::span<const uint8_t> wasm) {
  constexpr uint8_t kMagic[] = {0, 'a', 's', 'm'};
  constexpr uint8_t kModule[] = {1, 0, 0, 0};
  constexpr uint8_t kComponent[] = {0x0d, 0, 1, 0};
  if (wasm.size() < 8 || !std::equal(std::begin(kMagic), std::end(kMagic), wasm.begin()))
    return invalid(fmt::format(
        "got {} bytes that are not WebAssembly, expected a component (a .wasm file)", wasm.size()));
  const auto layer = wasm.subspan(4, 4);
  if (std::equal(layer.begin(), layer.end(), kModule))
    return invalid(
        "got a core module, expected a component; make one of it with 'pie build' or 'component "
        "new'");
  if (!std::equal(layer.begin(), layer.end(), kComponent))
    return invalid("got a component of another version of the binary format, expected version 13");
  return {};
}

Result<void> check_hash(const std::string& hash) {
  const bool good = !hash.empty() && hash.size() <= 128 &&
                    std::all_of(hash.begin(), hash.end(), [](unsigned char c) {
                      return std::isalnum(c) || c == '-' || c == '_';
                    });
  if (good) return {};
  return invalid(fmt::format("got the hash '{}', expected 1 to 128 letters and digits", hash));
}

}  // namespace

CompileCache::CompileCache(std::shared_ptr<const WasmtimeEngine> engine,
                           std::filesystem::path folder, uint64_t bytes_max,
                           std::filesystem::path installed_folder)
    : engine_(std::move(engine)),
      folder_(std::move(folder)),
      installed_folder_(std::move(installed_folder)),
      bytes_max_(bytes_max) {}

std::string CompileCache::file_name_of(const std::string& hash) const {
  return fmt::format("{}-{}.cwasm", hash, engine_->fingerprint());
}

std::filesystem::path CompileCache::file_of(const std::string& hash) const {
  if (folder_.empty()) return {};
  return folder_ / file_name_of(hash);
}

Result<CompileCache::Compiled> CompileCache::load_or_compile(std::span<const uint8_t> wasm,
                                                             const std::string& hash) {
  PIE_TRY(check_hash(hash));
  PIE_TRY(check_preamble(wasm));
  if (RawComponent loaded = load(file_of(hash))) return Compiled{std::move(loaded), false};
  if (!installed_folder_.empty())
    if (RawComponent loaded = load(installed_folder_ / file_name_of(hash)))
      return Compiled{std::move(loaded), false};
  log::info("compiling the program {}", hash);
  wasmtime_component_t* raw = nullptr;
  const WasmError error(wasmtime_component_new(engine_->get(), wasm.data(), wasm.size(), &raw));
  if (error) return invalid("got a component that does not compile: " + text_of(*error));
  return Compiled{RawComponent(raw), true};
}

RawComponent CompileCache::load(const std::filesystem::path& file) const {
  if (file.empty()) return nullptr;
  const Result<std::string> bytes = read_file(file);
  if (!bytes.ok()) return nullptr;
  if (!checks_out(*bytes)) {
    log::warning("{} is damaged or not of this engine and CPU; compiling the program again",
                 file.string());
    return nullptr;
  }
  wasmtime_component_t* raw = nullptr;
  const WasmError error(wasmtime_component_deserialize_file(engine_->get(), file.c_str(), &raw));
  if (!error) {
    note_use(file);
    return RawComponent(raw);
  }
  log::warning("{} can't be loaded ({}); compiling the program again", file.string(),
               text_of(*error));
  return nullptr;
}

bool CompileCache::checks_out(std::string_view file) const {
  if (file.size() < sizeof(Trailer)) return false;
  Trailer trailer;
  std::memcpy(&trailer, file.data() + file.size() - sizeof(Trailer), sizeof(Trailer));
  const std::string_view code = file.substr(0, file.size() - sizeof(Trailer));
  const std::string_view made_by(trailer.fingerprint, sizeof(trailer.fingerprint));
  return std::memcmp(trailer.magic, Trailer().magic, sizeof(trailer.magic)) == 0 &&
         made_by == engine_->fingerprint() && trailer.size_bytes == code.size() &&
         trailer.sum == checksum(code);
}

RawComponent CompileCache::keep(const wasmtime_component_t& component,
                                const std::string& hash) const {
  const std::filesystem::path file = file_of(hash);
  if (file.empty()) return nullptr;
  ByteVec code;
  const WasmError error(wasmtime_component_serialize(&component, &code));
  if (error) {
    log::warning("a compiled program can't be kept: {}", text_of(*error));
    return nullptr;
  }
  Trailer trailer;
  engine_->fingerprint().copy(trailer.fingerprint, sizeof(trailer.fingerprint));
  trailer.size_bytes = code.size;
  trailer.sum = checksum({code.data, code.size});
  std::string bytes(code.data, code.size);
  bytes.append(reinterpret_cast<const char*>(&trailer), sizeof(trailer));
  std::error_code ignored;
  std::filesystem::create_directories(folder_, ignored);
  const Result<void> written = write_file_atomically(file, bytes);
  if (!written.ok()) {
    log::warning("a compiled program can't be kept: {}", written.error().message);
    return nullptr;
  }
  note_use(file);
  make_room(file);
  return load(file);
}

void CompileCache::make_room(const std::filesystem::path& newest) const {
  constexpr time_t kLeftoverAgeS = 3'600;
  const std::lock_guard lock(room_);
  const time_t now = ::time(nullptr);
  std::vector<Kept> all;
  uint64_t total_bytes = 0;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, ignored)) {
    struct stat info{};
    if (::stat(entry.path().c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
    const std::string name = entry.path().filename().string();
    if (name.find(".cwasm.tmp") != std::string::npos && info.st_mtime + kLeftoverAgeS < now)
      std::filesystem::remove(entry.path(), ignored);
    if (!name.ends_with(".cwasm")) continue;
    all.push_back({entry.path(), static_cast<uint64_t>(info.st_size), info.st_atim});
    total_bytes += all.back().size_bytes;
  }
  std::sort(all.begin(), all.end());
  for (const Kept& one : all) {
    if (total_bytes <= bytes_max_) return;
    if (one.path == newest) continue;
    std::filesystem::remove(one.path, ignored);
    total_bytes -= one.size_bytes;
  }
}

}  // namespace pie::wasm
