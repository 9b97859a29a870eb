#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/content_hash.h"
#include "base/result.h"
#include "engine/message.h"
#include "engine/snapshot/file.h"
#include "exec/executor.h"
#include "kv/frame_table.h"

namespace pie::engine {

class SnapshotStore;

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
/// disk space, at most 16 GiB. Not more than a million.
uint32_t swap_page_count(const std::filesystem::path& folder, uint64_t bytes_max,
                         uint64_t page_bytes);

/// Where a page is that is to be saved; the pool goes first.
struct PageSource {
  std::optional<KvPageId> page;
  std::optional<kv::DiskPage> disk;
};
struct SnapshotWork {
  SnapshotHeader header;
  std::vector<PageSource> pages;  ///< one per page of the header; looked at where that has a hash
  std::filesystem::path path;
};

/// Moves pages between the pool and the disk on a thread of its own, in the order of the calls, and
/// reports each by `done`, on that thread. The calls come from one thread.
class PageIo {
 public:
  /// `swap` may be none: then nothing is stored.
  PageIo(exec::Executor& executor, std::optional<SwapFile> swap,
         std::function<void(PageMoved)> done);
  /// Finishes what it is at; what waits is forgotten.
  ~PageIo();

  void load(const kv::PageLoad& load);
  void store(const kv::PageStore& store);

  /// Called on the disk thread.
  using Done = std::function<void(const Result<void>&)>;
  /// Writes a snapshot for which the store makes room, fills in the hashes of its header and adds
  /// it to the store. Its pages stay what they are until then. In pieces, like open(): other pages
  /// are moved between them.
  void save(std::shared_ptr<SnapshotWork> work, SnapshotStore& store, Done done);
  /// Opens a snapshot, under a number for kv::DiskPage, and reads it all: kCorrupt for damage,
  /// kFailedPrecondition for another layout.
  void open(uint32_t number, const std::filesystem::path& path, const std::string& layout,
            std::shared_ptr<SnapshotHeader> header, Done done);
  /// After the loads that were asked for before.
  void close(uint32_t number);

 private:
  struct Job {
    bool is_load = false;
    kv::FrameId frame;
    KvPageId page;
    kv::DiskPage disk;
    std::function<void()> call;  ///< instead of all that
  };
  struct OpenFile {
    int file = -1;
    uint64_t first_page = 0;
    std::vector<ContentHash> hashes;
  };
  void push(Job job);
  void run();
  Result<void> carry_out(const Job& job);
  Result<void> read(const kv::DiskPage& disk);
  struct Saving;
  void begin_save(const std::shared_ptr<SnapshotWork>& work, SnapshotStore& store,
                  const Done& done);
  void end_save(const Done& done, const Result<void>& result);
  void go_on(const std::shared_ptr<Saving>& saving);
  Result<bool> write_piece(Saving& saving);
  Result<void> open_file(uint32_t number, const std::filesystem::path& path,
                         const std::string& layout, SnapshotHeader& header);
  void check_pages(uint32_t number, uint32_t first, const Done& done);
  uint32_t pages_a_piece() const;
  void close_file(uint32_t number);

  exec::Executor& executor_;
  std::optional<SwapFile> swap_;
  std::map<uint32_t, OpenFile> files_;       // by number
  std::deque<std::function<void()>> saves_;  // the first one is under way
  const std::function<void(PageMoved)> done_;
  std::vector<std::byte> buffer_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  bool stop_ = false;
  std::thread thread_;  // last
};

}  // namespace pie::engine
