#include "server/program_runtime.h"

#include <algorithm>
#include <array>
#include <system_error>
#include <utility>
#include <vector>

#include "crypto/blake3.h"

namespace pie::server {

Result<bool> is_archive(const Blob& file) {
  constexpr std::array<uint8_t, 4> kLocalFileHeader = {'P', 'K', 3, 4};
  PIE_TRY_ASSIGN(const std::vector<uint8_t> start, file.read(0, kLocalFileHeader.size()));
  return std::equal(start.begin(), start.end(), kLocalFileHeader.begin(), kLocalFileHeader.end());
}

Result<ProgramRuntime::Component> ProgramRuntime::component() {
  std::error_code failed;
  const auto written = std::filesystem::last_write_time(file_, failed);
  auto wasm = open_file_blob(file_.string());
  if (failed || !wasm.ok())
    return Error{ErrorCode::kFailedPrecondition,
                 "[program] got a ZIP archive, which is a Python program, and no runtime for it: "
                 "expected the component " +
                     file_.string() +
                     "; `make build` puts it there, or set python_runtime to where it is"};
  const std::lock_guard lock(mutex_);
  if (hash_.empty() || written != written_ || (*wasm)->size() != bytes_) {
    PIE_TRY_ASSIGN(const std::string all, read_all(**wasm));
    hash_ = crypto::blake3_hex(all);
    written_ = written;
    bytes_ = all.size();
  }
  return Component{hash_, std::move(*wasm)};
}

}  // namespace pie::server
