#include "wasm/compile_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <fstream>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "wasm/checksum.h"

namespace pie::wasm {
namespace {

/// What follows the compiled code in a file, so that the code itself is mapped from its start.
struct Trailer {
  char magic[8] = {'p', 'i', 'e', 'c', 'w', 'a', 's', '1'};
  uint64_t size_bytes = 0;
  uint64_t sum = 0;
};

bool checks_out(std::string_view file) {
  if (file.size() < sizeof(Trailer)) return false;
  Trailer trailer;
  std::memcpy(&trailer, file.data() + file.size() - sizeof(Trailer), sizeof(Trailer));
  const std::string_view code = file.substr(0, file.size() - sizeof(Trailer));
  return std::memcmp(trailer.magic, Trailer().magic, sizeof(trailer.magic)) == 0 &&
         trailer.size_bytes == code.size() && trailer.sum == checksum(code);
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

CompileCache::CompileCache(std::shared_ptr<const Engine> engine, std::filesystem::path folder)
    : engine_(std::move(engine)), folder_(std::move(folder)) {}

std::filesystem::path CompileCache::file_of(const std::string& hash) const {
  if (folder_.empty()) return {};
  return folder_ / fmt::format("{}-{}.cwasm", hash, engine_->fingerprint());
}

Result<RawComponent> CompileCache::load_or_compile(std::span<const uint8_t> wasm,
                                                   const std::string& hash) {
  PIE_TRY(check_hash(hash));
  PIE_TRY(check_preamble(wasm));
  const std::filesystem::path file = file_of(hash);
  if (RawComponent loaded = load(file)) return loaded;
  wasmtime_component_t* raw = nullptr;
  const WasmError error(wasmtime_component_new(engine_->get(), wasm.data(), wasm.size(), &raw));
  if (error) return invalid("got a component that does not compile: " + text_of(*error));
  RawComponent component(raw);
  store(*component, file);
  return component;
}

RawComponent CompileCache::load(const std::filesystem::path& file) const {
  if (file.empty()) return nullptr;
  const Result<std::string> bytes = read_file(file);
  if (!bytes.ok()) return nullptr;
  if (!checks_out(*bytes)) {
    log::warning("{} is damaged; compiling the program again", file.string());
    return nullptr;
  }
  wasmtime_component_t* raw = nullptr;
  const WasmError error(wasmtime_component_deserialize_file(engine_->get(), file.c_str(), &raw));
  if (!error) return RawComponent(raw);
  log::warning("{} can't be loaded ({}); compiling the program again", file.string(),
               text_of(*error));
  return nullptr;
}

void CompileCache::store(const wasmtime_component_t& component,
                         const std::filesystem::path& file) const {
  if (file.empty()) return;
  ByteVec code;
  const WasmError error(wasmtime_component_serialize(&component, &code));
  if (error) return log::warning("a compiled program can't be kept: {}", text_of(*error));
  Trailer trailer;
  trailer.size_bytes = code.size;
  trailer.sum = checksum({code.data, code.size});
  std::string bytes(code.data, code.size);
  bytes.append(reinterpret_cast<const char*>(&trailer), sizeof(trailer));
  std::error_code ignored;
  std::filesystem::create_directories(folder_, ignored);
  const Result<void> written = write_file_atomically(file, bytes);
  if (!written.ok()) log::warning("a compiled program can't be kept: {}", written.error().message);
}

}  // namespace pie::wasm
