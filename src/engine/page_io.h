#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "base/content_hash.h"
#include "base/result.h"
#include "engine/message.h"
#include "exec/executor.h"
#include "kv/frame_table.h"

namespace pie::engine {

/// A file without a name for pages of one size, gone with the process. Thread: one.
class SwapFile {
 public:
  /// In `folder`, which is made if need be; the file grows as it is written.
  static Result<SwapFile> open(const std::filesystem::path& folder, uint64_t page_bytes);
  SwapFile(SwapFile&& other) noexcept;
  SwapFile& operator=(SwapFile&&) = delete;
  ~SwapFile();

  Result<void> write(uint32_t place, std::span<const std::byte> bytes);
  /// kCorrupt when the bytes are not those that were written there.
  Result<void> read(uint32_t place, std::span<std::byte> bytes) const;

 private:
  SwapFile(int file, uint64_t page_bytes) : file_(file), page_bytes_(page_bytes) {}
  int file_;
  uint64_t page_bytes_;
  std::vector<ContentHash> hashes_;  // by place
};

/// How many pages a swap file in `folder` may have: `bytes_max`, or for 0 a quarter of the free
/// disk space, at most 16 GiB.
uint32_t swap_page_count(const std::filesystem::path& folder, uint64_t bytes_max,
                         uint64_t page_bytes);

/// Moves pages between the pool and the disk on a thread of its own, in the order of the calls, and
/// reports each by `done`, on that thread. The calls come from one thread.
class PageIo {
 public:
  PageIo(exec::Executor& executor, SwapFile file, std::function<void(PageMoved)> done);
  /// Finishes what it is at; what waits is forgotten.
  ~PageIo();

  void load(const kv::PageLoad& load);
  void store(const kv::PageStore& store);

 private:
  struct Job {
    bool is_load = false;
    kv::FrameId frame;
    KvPageId page;
    kv::DiskPage disk;
  };
  void push(const Job& job);
  void run();
  Result<void> carry_out(const Job& job);

  exec::Executor& executor_;
  SwapFile file_;
  const std::function<void(PageMoved)> done_;
  std::vector<std::byte> buffer_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  bool stop_ = false;
  std::thread thread_;  // last
};

}  // namespace pie::engine
