#pragma once
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "base/content_hash.h"
#include "base/result.h"
#include "engine/swap_file.h"
#include "exec/executor.h"
#include "kv/frame_table.h"

namespace pie::engine {

/// What became of a page that was to be moved.
struct PageMoved {
  enum class Way { kToPool, kToDisk };
  Way way = Way::kToPool;
  kv::FrameId frame;
  kv::DiskOutcome outcome = kv::DiskOutcome::kDone;
};

/// Where a page's bytes are; the pool goes first.
struct PageSource {
  std::optional<KvPageId> page;
  std::optional<kv::DiskPage> disk;
};

/// A file that pages are read of, open: the disk thread closes it.
struct PageFile {
  int file = -1;
  uint64_t first_page = 0;          ///< where pages begin
  std::vector<ContentHash> hashes;  ///< by page
};

/// The thread that waits for the disk, so that no other one of the engine does. It moves pages
/// between the pool and files, and carries out what else touches files, in the order of the calls.
/// What waits is bounded by the pages of the pool and the commands that instances may have.
class DiskThread {
 public:
  /// `swap` may be none: then nothing is stored. `moved` is called on the disk thread.
  DiskThread(exec::Executor& executor, std::optional<SwapFile> swap,
             std::function<void(const PageMoved&)> moved);
  /// Finishes what it is at; what waits is forgotten.
  ~DiskThread();

  bool has_swap() const { return swap_.has_value(); }
  size_t page_bytes() const { return buffer_.size(); }

  // From any thread.
  void load(const kv::PageLoad& load);
  void store(const kv::PageStore& store);
  /// Calls `job` on the disk thread. Long ones come in pieces, each of which asks for the next, so
  /// that pages are moved between them.
  void run(std::function<void()> job);
  /// Closes a file, after the loads that were asked for before.
  void close(uint32_t number);

  // From the disk thread.
  /// Makes the file's pages kv::DiskPages under this number (not 0, the swap file).
  void add_file(uint32_t number, PageFile file);
  void close_file(uint32_t number);
  size_t page_count(uint32_t number) const { return files_.at(number).hashes.size(); }
  /// A page's bytes, until the next read. kCorrupt when a file has others than were written.
  Result<std::span<const std::byte>> read(const PageSource& source);

 private:
  void work();
  void report(PageMoved::Way way, kv::FrameId frame, const Result<void>& moved);
  Result<void> read_disk(const kv::DiskPage& disk);

  exec::Executor& executor_;
  std::optional<SwapFile> swap_;
  std::map<uint32_t, PageFile> files_;  // by number
  const std::function<void(const PageMoved&)> moved_;
  std::vector<std::byte> buffer_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  bool stop_ = false;
  std::thread thread_;  // last
};

}  // namespace pie::engine
