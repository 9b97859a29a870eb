#include "server/compiled_ahead.h"

#include <cstdint>
#include <string>

#include "base/file.h"
#include "crypto/blake3.h"
#include "host/program_host.h"

namespace pie::server {
namespace {

constexpr uint64_t kFolderBytesMax = 1ULL << 30;

}  // namespace

std::filesystem::path python_runtime_file(const Config& config) {
  return config.python_runtime.empty() ? config.share / "python-runtime.wasm"
                                       : config.python_runtime;
}

std::filesystem::path compiled_folder(const std::filesystem::path& share) {
  return share / "compiled";
}

Result<std::filesystem::path> compile_python_runtime(const Config& config,
                                                     const std::filesystem::path& folder) {
  PIE_TRY_ASSIGN(const std::string wasm, read_file(python_runtime_file(config)));
  return host::ProgramHost::compile_into(
      folder, kFolderBytesMax, {reinterpret_cast<const uint8_t*>(wasm.data()), wasm.size()},
      crypto::blake3_hex(wasm));
}

}  // namespace pie::server
