#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/unique_fd.h"

namespace pie {
namespace {

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
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
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
  const auto write = [&](int fd) -> Result<void> {
    return write_all(fd, bytes) ? Result<void>() : Result<void>(system_error("write", path));
  };
  return write_file_atomically(path, write, mode);
}

Result<void> write_file_atomically(const std::filesystem::path& path,
                                   const std::function<Result<void>(int fd)>& write,
                                   unsigned mode) {
  static std::atomic<uint64_t> counter{0};
  const std::filesystem::path temporary =
      path.string() + ".tmp" + std::to_string(::getpid()) + "-" + std::to_string(counter++);
  Result<void> written = [&]() -> Result<void> {
    const UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
    if (fd.get() < 0) return system_error("create", temporary);
    PIE_TRY(write(fd.get()));
    if (::fsync(fd.get()) != 0) return system_error("write", temporary);
    if (::rename(temporary.c_str(), path.c_str()) != 0) return system_error("rename to", path);
    return {};
  }();
  if (!written.ok()) {
    ::unlink(temporary.c_str());
    return written;
  }
  return sync_folder(path.has_parent_path() ? path.parent_path() : ".");
}

Result<void> sync_folder(const std::filesystem::path& folder) {
  const UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) return system_error("open", folder);
  // Some file systems have no such thing for folders, and say so (EINVAL): they are on their own.
  if (::fsync(fd.get()) != 0 && errno != EINVAL) return system_error("sync", folder);
  return {};
}

}  // namespace pie
