#include "server/spools.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <deque>
#include <optional>
#include <system_error>
#include <utility>

#include "base/file.h"

namespace pie::server {
namespace {

namespace fs = std::filesystem;
constexpr size_t kMemoryBytesMax = 4U << 20;

/// A file that the disk's queue removes with the last who needs it.
class SpoolFile {
 public:
  SpoolFile(fs::path path, std::string user, WorkQueue& disk)
      : path_(std::move(path)), user_(std::move(user)), disk_(disk) {}
  ~SpoolFile() {
    if (!is_made_) return;
    const auto remove = [path = path_] { ::unlink(path.c_str()); };
    if (!disk_.post_once(user_, remove).ok()) remove();  // the server stops
  }
  SpoolFile(const SpoolFile&) = delete;
  SpoolFile& operator=(const SpoolFile&) = delete;
  /// From now on there is something to remove.
  void made() { is_made_ = true; }
  const fs::path& path() const { return path_; }
  const std::string& user() const { return user_; }

 private:
  const fs::path path_;
  const std::string user_;
  WorkQueue& disk_;
  std::atomic<bool> is_made_ = false;
};

/// A blob, with what it holds of its user's quotas.
class ChargedBlob final : public Blob {
 public:
  ChargedBlob(BlobRef blob, Holding held, std::unique_ptr<SpoolFile> file)
      : held_(std::move(held)), file_(std::move(file)), blob_(std::move(blob)) {}
  uint64_t size() const override { return blob_->size(); }
  uint64_t memory_bytes() const override { return sizeof(*this) + blob_->memory_bytes(); }
  Result<std::vector<uint8_t>> read(uint64_t offset, uint64_t n) const override {
    return blob_->read(offset, n);
  }

 private:
  const Holding held_;
  const std::unique_ptr<SpoolFile> file_;
  const BlobRef blob_;
};

/// In memory up to a size, then in a file. write() leaves the writing to the disk's queue; what
/// fails there is told by a later write() or by finish().
class Spool final : public protocol::UploadSpool, public std::enable_shared_from_this<Spool> {
 public:
  Spool(std::unique_ptr<SpoolFile> file, const UserQuotasRef& quotas, WorkQueue& disk,
        const store::DiskReserve& reserve, std::shared_ptr<SpoolBacklog> backlog)
      : file_(std::move(file)),
        in_memory_(part_of(quotas, &UserQuotas::host_memory)),
        on_disk_(part_of(quotas, &UserQuotas::spools)),
        disk_(disk),
        reserve_(reserve),
        backlog_(std::move(backlog)) {}
  ~Spool() override {
    for (const auto& one : pending_) backlog_->written(one.size());
  }

  Result<void> write(protocol::Bytes bytes) override {
    {
      const std::lock_guard lock(mutex_);
      if (failure_) return *failure_;
      const bool fits = !is_file_ && memory_.size() + bytes.size() <= kMemoryBytesMax;
      PIE_TRY(charge(fits ? in_memory_ : on_disk_, bytes.size()));
      size_ += bytes.size();
      if (fits) {
        memory_.insert(memory_.end(), bytes.begin(), bytes.end());
        return {};
      }
      if (!is_file_) PIE_TRY(spill());
      backlog_->add(bytes.size());
      pending_.push_back(std::move(bytes));
      if (std::exchange(is_posted_, true)) return {};
    }
    auto posted = disk_.post_once(file_->user(), [self = shared_from_this()] { self->drain(); });
    return posted.ok() ? Result<void>() : Result<void>(std::move(posted).error());
  }

  uint64_t size() const override { return size_; }

  Result<BlobRef> finish() override {
    drain();
    const std::lock_guard lock(mutex_);
    if (failure_) return *failure_;
    if (!is_file_)
      return BlobRef(std::make_shared<ChargedBlob>(make_memory_blob(std::move(memory_)),
                                                   std::move(in_memory_), nullptr));
    PIE_TRY_ASSIGN(auto blob, open_file_blob(file_->path()));
    return BlobRef(
        std::make_shared<ChargedBlob>(std::move(blob), std::move(on_disk_), std::move(file_)));
  }

 private:
  Result<void> charge(Holding& holding, uint64_t bytes) const {
    if (holding.take(bytes)) return {};
    return Error{ErrorCode::kResourceExhausted,
                 "[upload] got " + std::to_string(bytes) +
                     " bytes more, expected room for them: " + holding.refusal(bytes)};
  }
  /// What was in memory goes to the file, too.
  Result<void> spill() {
    PIE_TRY(charge(on_disk_, memory_.size()));
    in_memory_.give_back(in_memory_.amount());
    is_file_ = true;
    backlog_->add(memory_.size());
    pending_.push_back(std::exchange(memory_, {}));
    return {};
  }

  /// Writes what is pending. One at a time.
  void drain() {
    const std::lock_guard one_at_a_time(drain_mutex_);
    for (;;) {
      std::deque<protocol::Bytes> taken;
      {
        const std::lock_guard lock(mutex_);
        is_posted_ = false;
        taken.swap(pending_);
        if (taken.empty()) return;
        is_posted_ = true;
      }
      uint64_t bytes = 0;
      for (const auto& one : taken) bytes += one.size();
      auto written = append(taken, bytes);
      backlog_->written(bytes);
      const std::lock_guard lock(mutex_);
      if (!written.ok() && !failure_) failure_ = std::move(written).error();
    }
  }

  Result<void> append(const std::deque<protocol::Bytes>& parts, uint64_t bytes) const {
    PIE_TRY(reserve_.check("upload", bytes));
    const int fd = ::open(file_->path().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) return system_error("upload to", file_->path());
    file_->made();
    Result<void> written;
    for (const auto& part : parts) {
      if (!written.ok()) break;
      written = write_all(fd, {reinterpret_cast<const char*>(part.data()), part.size()})
                    ? Result<void>()
                    : Result<void>(system_error("upload to", file_->path()));
    }
    ::close(fd);
    return written;
  }

  std::unique_ptr<SpoolFile> file_;
  Holding in_memory_, on_disk_;
  WorkQueue& disk_;
  const store::DiskReserve& reserve_;
  const std::shared_ptr<SpoolBacklog> backlog_;
  std::mutex drain_mutex_;  ///< before mutex_
  std::mutex mutex_;        ///< of what follows
  protocol::Bytes memory_;
  std::deque<protocol::Bytes> pending_;  ///< for the file
  std::atomic<uint64_t> size_ = 0;
  bool is_file_ = false, is_posted_ = false;
  std::optional<Error> failure_;
};

}  // namespace

void SpoolBacklog::add(uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  bytes_ += bytes;
}

void SpoolBacklog::written(uint64_t bytes) {
  std::function<void()> wake;
  {
    const std::lock_guard lock(mutex_);
    bytes_ -= bytes;
    if (bytes_ <= kBytesMax) wake.swap(wake_);
  }
  if (wake) wake();
}

bool SpoolBacklog::wait(std::function<void()> wake) {
  const std::lock_guard lock(mutex_);
  if (bytes_ <= kBytesMax) return false;
  wake_ = std::move(wake);
  return true;
}

Spools::Spools(fs::path folder, Ledger& ledger, WorkQueue& disk, const store::DiskReserve& reserve)
    : folder_(std::move(folder)), ledger_(ledger), disk_(disk), reserve_(reserve) {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
  fs::create_directories(folder_, ignored);
}

std::shared_ptr<protocol::UploadSpool> Spools::open(const std::string& user,
                                                    std::shared_ptr<SpoolBacklog> backlog) {
  auto file = std::make_unique<SpoolFile>(folder_ / std::to_string(next_++), user, disk_);
  return std::make_shared<Spool>(std::move(file), ledger_.of(user), disk_, reserve_,
                                 std::move(backlog));
}

}  // namespace pie::server
