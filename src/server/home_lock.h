#pragma once
#include <filesystem>
#include <memory>

#include "base/result.h"

namespace pie::server {

/// Keeps two servers from sharing one PIE_HOME: an flock(2) on `home`/run/lock, which the kernel
/// gives back when the process ends, however it ends.
class HomeLock {
 public:
  /// Makes the folders. kFailedPrecondition when another process has it; the message names `home`.
  static Result<std::unique_ptr<HomeLock>> take(const std::filesystem::path& home);
  ~HomeLock();
  HomeLock(const HomeLock&) = delete;
  HomeLock& operator=(const HomeLock&) = delete;

 private:
  explicit HomeLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace pie::server
