#include "engine/disk_thread.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/log.h"

namespace pie::engine {

DiskThread::DiskThread(exec::Executor& executor, std::optional<SwapFile> swap,
                       std::function<void(const PageMoved&)> moved)
    : executor_(executor),
      swap_(std::move(swap)),
      moved_(std::move(moved)),
      buffer_(executor.page_bytes()),
      thread_([this] { work(); }) {}

DiskThread::~DiskThread() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    wake_.notify_one();
  }
  thread_.join();
  while (!files_.empty()) close_file(files_.begin()->first);
}

void DiskThread::run(std::function<void()> job) {
  const std::lock_guard lock(mutex_);
  jobs_.push_back(std::move(job));
  wake_.notify_one();
}

void DiskThread::work() {
  while (true) {
    std::function<void()> job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return stop_ || !jobs_.empty(); });
      if (stop_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job();
  }
}

void DiskThread::load(const kv::PageLoad& load) {
  run([this, load] {
    const Result<void> is_read = read_disk(load.from);
    if (is_read.ok()) executor_.write_page(load.to, buffer_);
    report(PageMoved::Way::kToPool, load.frame, is_read);
  });
}

void DiskThread::store(const kv::PageStore& store) {
  run([this, store] {
    executor_.read_page(store.from, buffer_);
    report(PageMoved::Way::kToDisk, store.frame, swap_->write(store.to.page, buffer_));
  });
}

void DiskThread::report(PageMoved::Way way, kv::FrameId frame, const Result<void>& moved) {
  if (!moved.ok()) log::error("engine: {}", moved.error().message);
  moved_({way, frame, moved.ok() ? kv::DiskOutcome::kDone : kv::DiskOutcome::kFailed});
}

void DiskThread::close(uint32_t number) {
  run([this, number] { close_file(number); });
}

void DiskThread::add_file(uint32_t number, PageFile file) {
  files_.insert_or_assign(number, std::move(file));
}

void DiskThread::close_file(uint32_t number) {
  const auto file = files_.find(number);
  if (file == files_.end()) return;
  ::close(file->second.file);
  files_.erase(file);
}

Result<std::span<const std::byte>> DiskThread::read(const PageSource& source) {
  if (source.page) {
    executor_.read_page(*source.page, buffer_);
  } else {
    PIE_TRY(read_disk(*source.disk));
  }
  return std::span<const std::byte>(buffer_);
}

/// Into the buffer.
Result<void> DiskThread::read_disk(const kv::DiskPage& disk) {
  if (disk.file == 0) return swap_->read(disk.page, buffer_);
  const PageFile& file = files_.at(disk.file);
  uint64_t at = file.first_page + disk.page * buffer_.size();
  for (std::span<std::byte> rest = buffer_; !rest.empty();) {
    const ssize_t count = pread(file.file, rest.data(), rest.size(), static_cast<off_t>(at));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0)
      return Error{ErrorCode::kResourceExhausted,
                   fmt::format("[snapshot] got '{}' from pread, expected the page's bytes",
                               strerror(errno))};
    rest = rest.subspan(static_cast<size_t>(count));
    at += static_cast<uint64_t>(count);
  }
  if (hash_content(buffer_) == file.hashes.at(disk.page)) return {};
  return Error{ErrorCode::kCorrupt,
               fmt::format("[snapshot] got other bytes for page {} than were written: the file is "
                           "damaged; delete it",
                           disk.page)};
}

}  // namespace pie::engine
