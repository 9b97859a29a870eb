#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/blob.h"

namespace pie {
namespace {

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

class MemoryBlob final : public Blob {
 public:
  explicit MemoryBlob(std::vector<uint8_t> bytes) : bytes_(std::move(bytes)) {}
  uint64_t size() const override { return bytes_.size(); }
  uint64_t memory_bytes() const override { return sizeof(*this) + bytes_.size(); }
  Result<std::vector<uint8_t>> read(uint64_t offset, uint64_t n) const override {
    if (offset >= bytes_.size()) return std::vector<uint8_t>();
    const uint64_t take = std::min<uint64_t>(n, bytes_.size() - offset);
    const auto from = bytes_.begin() + static_cast<std::ptrdiff_t>(offset);
    return std::vector<uint8_t>(from, from + static_cast<std::ptrdiff_t>(take));
  }

 private:
  std::vector<uint8_t> bytes_;
};

class FileBlob final : public Blob {
 public:
  FileBlob(std::string path, uint64_t size) : path_(std::move(path)), size_(size) {}
  uint64_t size() const override { return size_; }
  uint64_t memory_bytes() const override { return sizeof(*this) + path_.size(); }
  Result<std::vector<uint8_t>> read(uint64_t offset, uint64_t n) const override {
    if (offset >= size_) return std::vector<uint8_t>();
    const Descriptor fd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    if (fd.get() < 0) return system_error("open", path_);
    std::vector<uint8_t> bytes(std::min<uint64_t>(n, size_ - offset));
    size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t got = ::pread(fd.get(), bytes.data() + done, bytes.size() - done,
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
  const std::string path_;
  const uint64_t size_;
};

ErrorCode code_of(int number) {
  switch (number) {
    case ENOENT: return ErrorCode::kNotFound;
    case EACCES:
    case EPERM:
    case EROFS: return ErrorCode::kPermissionDenied;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return ErrorCode::kResourceExhausted;
    default: return ErrorCode::kInternal;
  }
}

/// Reads up to `n` bytes from the descriptor's place; as read(2), and not interrupted.
ssize_t read_some(int fd, char* to, size_t n) {
  for (;;) {
    const ssize_t got = ::read(fd, to, n);
    if (got >= 0 || errno != EINTR) return got;
  }
}

}  // namespace

Error system_error(const std::string& what, const std::filesystem::path& path) {
  return system_error(what, path, errno);
}

Error system_error(const std::string& what, const std::filesystem::path& path, int number) {
  return {code_of(number), "[" + what + " " + path.string() + "] got: " + std::strerror(number)};
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

Result<std::string> read_file(const std::filesystem::path& path) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return system_error("open", path);
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return system_error("read", path);
  std::string bytes(std::max<size_t>(static_cast<size_t>(info.st_size), 1), '\0');
  size_t done = 0;
  for (;;) {  // to its end, which may have moved since
    if (done == bytes.size()) bytes.resize(bytes.size() * 2);
    const ssize_t got = read_some(fd.get(), bytes.data() + done, bytes.size() - done);
    if (got < 0) return system_error("read", path);
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  bytes.resize(done);
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

Result<BlobRef> open_file_blob(std::string path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return system_error("open", path);
  return BlobRef(std::make_shared<FileBlob>(std::move(path), static_cast<uint64_t>(info.st_size)));
}

}  // namespace pie
