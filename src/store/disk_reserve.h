#pragma once
#include <cstdint>
#include <filesystem>

#include "base/result.h"

namespace pie::store {

/// Keeps the last of the disk for what runs: its logs, and the store's own writing. Thread-safe;
/// asks the file system, so not for a thread that must not wait for a disk.
class DiskReserve {
 public:
  /// Nothing is kept.
  static constexpr uint64_t kNone = 1;

  /// `bytes`: how much of the file system of `folder` stays free; 0 = a twentieth of it, at most
  /// 256 MiB.
  DiskReserve(std::filesystem::path folder, uint64_t bytes)
      : folder_(std::move(folder)), bytes_(bytes) {}

  /// kResourceExhausted when `more` bytes would take of the reserve; `what` names who wants them.
  Result<void> check(const char* what, uint64_t more) const;

 private:
  const std::filesystem::path folder_;
  const uint64_t bytes_;
};

}  // namespace pie::store
