#include "base/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "base/blob.h"

namespace pie {
namespace {

Error system_error(const std::string& what, const std::filesystem::path& path) {
  const int number = errno;
  return {number == ENOENT ? ErrorCode::kNotFound : ErrorCode::kInternal,
          "[" + what + " " + path.string() + "] got: " + std::strerror(number)};
}

/// Closes its descriptor.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

class MemoryBlob final : public Blob {
 public:
  explicit MemoryBlob(std::vector<uint8_t> bytes) : bytes_(std::move(bytes)) {}
  uint64_t size() const override { return bytes_.size(); }
  Result<std::vector<uint8_t>> read(uint64_t offset, uint64_t n) const override {
    if (offset >= bytes_.size()) return std::vector<uint8_t>();
    const uint64_t take = std::min<uint64_t>(n, bytes_.size() - offset);
    const auto from = bytes_.begin() + static_cast<std::ptrdiff_t>(offset);
    return std::vector<uint8_t>(from, from + static_cast<std::ptrdiff_t>(take));
  }

 private:
  std::vector<uint8_t> bytes_;
};

class SpooledBlob final : public Blob {
 public:
  SpooledBlob(std::string path, int fd, uint64_t size)
      : path_(std::move(path)), fd_(fd), size_(size) {}
  ~SpooledBlob() override { ::unlink(path_.c_str()); }
  uint64_t size() const override { return size_; }
  Result<std::vector<uint8_t>> read(uint64_t offset, uint64_t n) const override {
    if (offset >= size_) return std::vector<uint8_t>();
    std::vector<uint8_t> bytes(std::min<uint64_t>(n, size_ - offset));
    size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t got = ::pread(fd_.get(), bytes.data() + done, bytes.size() - done,
                                  static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return system_error("read", path_);
      if (got == 0) break;
      done += static_cast<size_t>(got);
    }
    bytes.resize(done);
    return bytes;
  }

 private:
  std::string path_;
  Descriptor fd_;
  uint64_t size_;
};

}  // namespace

Result<std::string> read_file(const std::filesystem::path& path) {
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  if (!in) return system_error("open", path);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  if (in.bad()) return system_error("read", path);
  return bytes;
}

Result<void> write_file_atomically(const std::filesystem::path& path, std::string_view bytes,
                                   unsigned mode) {
  static std::atomic<uint64_t> counter{0};
  const std::filesystem::path temporary =
      path.string() + ".tmp" + std::to_string(::getpid()) + "-" + std::to_string(counter++);
  {
    const Descriptor fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
    if (fd.get() < 0) return system_error("create", temporary);
    if (!write_all(fd.get(), bytes) || ::fsync(fd.get()) != 0) {
      Error error = system_error("write", temporary);
      ::unlink(temporary.c_str());
      return error;
    }
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    Error error = system_error("rename to", path);
    ::unlink(temporary.c_str());
    return error;
  }
  return sync_folder(path.has_parent_path() ? path.parent_path() : ".");
}

Result<void> sync_folder(const std::filesystem::path& folder) {
  const Descriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) return system_error("open", folder);
  // Some file systems have no such thing for folders, and say so (EINVAL): they are on their own.
  if (::fsync(fd.get()) != 0 && errno != EINVAL) return system_error("sync", folder);
  return {};
}

BlobRef make_memory_blob(std::vector<uint8_t> bytes) {
  return std::make_shared<MemoryBlob>(std::move(bytes));
}

Result<BlobRef> make_spooled_blob(std::string path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return system_error("open", path);
  const off_t size = ::lseek(fd, 0, SEEK_END);
  return BlobRef(std::make_shared<SpooledBlob>(std::move(path), fd, static_cast<uint64_t>(size)));
}

}  // namespace pie
