#include "engine/disk_thread.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "base/log.h"

namespace pie::engine {
namespace {

constexpr uint64_t kDefaultBytesMax = 16ULL << 30;
constexpr uint64_t kPlacesMax = 1 << 20;  // each is accounted for

Error disk_error(std::string_view what) {
  return {ErrorCode::kInternal,
          fmt::format("[swap file] got '{}' from {}, expected room on the disk: see swap_bytes_max",
                      strerror(errno), what)};
}

}  // namespace

Result<SwapFile> SwapFile::open(const std::filesystem::path& folder, uint64_t page_bytes) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  std::string path = (folder / "swap-XXXXXX").string();
  const int file = mkostemp(path.data(), O_CLOEXEC);
  if (file < 0) return disk_error("creating it in " + folder.string());
  unlink(path.c_str());
  return SwapFile(file, page_bytes);
}

SwapFile::SwapFile(SwapFile&& other) noexcept
    : file_(std::exchange(other.file_, -1)),
      page_bytes_(other.page_bytes_),
      hashes_(std::move(other.hashes_)) {}

SwapFile::~SwapFile() {
  if (file_ >= 0) ::close(file_);
}

Result<void> SwapFile::write(uint32_t place, std::span<const std::byte> bytes) {
  if (place >= hashes_.size()) hashes_.resize(place + 1);
  hashes_[place] = hash_content(bytes);
  auto at = static_cast<off_t>(place * page_bytes_);
  while (!bytes.empty()) {
    const ssize_t count = pwrite(file_, bytes.data(), bytes.size(), at);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return disk_error("pwrite");
    bytes = bytes.subspan(static_cast<size_t>(count));
    at += count;
  }
  return {};
}

Result<void> SwapFile::read(uint32_t place, std::span<std::byte> bytes) const {
  auto at = static_cast<off_t>(place * page_bytes_);
  for (std::span<std::byte> rest = bytes; !rest.empty();) {
    const ssize_t count = pread(file_, rest.data(), rest.size(), at);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return disk_error("pread");
    rest = rest.subspan(static_cast<size_t>(count));
    at += count;
  }
  if (hash_content(bytes) == hashes_[place]) return {};
  return Error{ErrorCode::kCorrupt,
               fmt::format("[swap file] got other bytes for page {} than were written", place)};
}

uint32_t swap_page_count(const std::filesystem::path& folder, uint64_t bytes_max,
                         uint64_t page_bytes) {
  if (bytes_max == 0) {
    std::error_code failed;
    std::filesystem::create_directories(folder, failed);
    struct statvfs disk = {};
    if (statvfs(folder.c_str(), &disk) != 0) return 0;
    bytes_max = std::min(kDefaultBytesMax, uint64_t{disk.f_bavail} * disk.f_frsize / 4);
  }
  return static_cast<uint32_t>(std::min(kPlacesMax, bytes_max / page_bytes));
}

PageIo::PageIo(exec::Executor& executor, std::optional<SwapFile> swap,
               std::function<void(PageMoved)> done)
    : executor_(executor),
      swap_(std::move(swap)),
      done_(std::move(done)),
      buffer_(executor.page_bytes()),
      thread_([this] { run(); }) {}

PageIo::~PageIo() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    wake_.notify_one();
  }
  thread_.join();
  while (!files_.empty()) close_file(files_.begin()->first);
}

void PageIo::push(Job job) {
  const std::lock_guard lock(mutex_);
  jobs_.push_back(std::move(job));
  wake_.notify_one();
}

void PageIo::load(const kv::PageLoad& load) { push({true, load.frame, load.to, load.from, {}}); }

void PageIo::store(const kv::PageStore& store) {
  push({false, store.frame, store.from, store.to, {}});
}

Result<void> PageIo::carry_out(const Job& job) {
  if (job.is_load) {
    PIE_TRY(read(job.disk));
    executor_.write_page(job.page, buffer_);
    return {};
  }
  executor_.read_page(job.page, buffer_);
  return swap_->write(job.disk.page, buffer_);
}

void PageIo::run() {
  while (true) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return stop_ || !jobs_.empty(); });
      if (stop_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    if (job.call) {
      job.call();
      continue;
    }
    const Result<void> moved = carry_out(job);
    if (!moved.ok()) log::error("engine: {}", moved.error().message);
    done_({job.is_load, job.frame, job.page, moved.ok()});
  }
}

}  // namespace pie::engine
