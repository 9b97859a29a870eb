#pragma once
#include <atomic>
#include <filesystem>
#include <memory>

#include "protocol/server_session.h"

namespace pie::server {

/// Keeps uploads in memory while they are small and in files of `folder` when they are not.
/// Thread-safe. What an earlier process left there is removed.
class Spools final : public protocol::UploadSpools {
 public:
  explicit Spools(std::filesystem::path folder);
  Result<std::unique_ptr<protocol::UploadSpool>> open(Kind kind) override;

 private:
  const std::filesystem::path folder_;
  std::atomic<uint64_t> next_ = 1;
};

/// All bytes of a blob.
Result<std::string> read_all(const Blob& blob);

}  // namespace pie::server
