#pragma once
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string>

#include "base/blob.h"
#include "base/result.h"

namespace pie::server {

/// Whether the file is a ZIP archive (APPNOTE.TXT 4.3.7), which is a Python program, and no
/// component. Waits for the disk.
Result<bool> is_archive(const Blob& file);

/// The component that runs Python programs: a file of the installation. Thread-safe; waits for the
/// disk.
class ProgramRuntime {
 public:
  explicit ProgramRuntime(std::filesystem::path file) : file_(std::move(file)) {}

  struct Component {
    std::string hash;
    BlobRef wasm;
  };
  /// As the file is now. kFailedPrecondition says how to get one where there is none.
  Result<Component> component();

 private:
  const std::filesystem::path file_;
  std::mutex mutex_;  ///< of the last file that was hashed
  std::filesystem::file_time_type written_;
  uint64_t bytes_ = 0;
  std::string hash_;
};

}  // namespace pie::server
