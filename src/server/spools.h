#pragma once
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "base/ledger.h"
#include "base/work_queue.h"
#include "protocol/server_session.h"
#include "store/disk_reserve.h"

namespace pie::server {

/// What the uploads of one connection have taken in and not yet written: who reads the connection
/// waits while it is too much. Thread-safe.
class SpoolBacklog {
 public:
  static constexpr uint64_t kBytesMax = 4ULL << 20;

  void add(uint64_t bytes);
  void written(uint64_t bytes);
  /// Whether it is too much now; then `wake` is called once it is not, from any thread.
  bool wait(std::function<void()> wake);

 private:
  std::mutex mutex_;
  uint64_t bytes_ = 0;
  std::function<void()> wake_;
};

/// Keeps uploads in memory while they are small and in files of a folder when they are not, for as
/// long as anybody needs the blob; both are charged to the user. The files are written and removed
/// by the disk's queue, and open only meanwhile. Thread-safe.
class Spools {
 public:
  /// What an earlier process left in `folder` is removed. The others outlive this and its blobs.
  Spools(std::filesystem::path folder, Ledger& ledger, WorkQueue& disk,
         const store::DiskReserve& reserve);
  /// A place for one upload of the user.
  std::shared_ptr<protocol::UploadSpool> open(const std::string& user,
                                              std::shared_ptr<SpoolBacklog> backlog);

 private:
  const std::filesystem::path folder_;
  Ledger& ledger_;
  WorkQueue& disk_;
  const store::DiskReserve& reserve_;
  std::atomic<uint64_t> next_ = 1;
};

}  // namespace pie::server
