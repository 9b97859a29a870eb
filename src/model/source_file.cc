#include "model/source_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

namespace pie::model {

Result<SourceFile> SourceFile::open(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    const ErrorCode code = errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kPermissionDenied;
    return Error{code, fmt::format("[open] got '{}', expected a readable file", strerror(errno))};
  }
  SourceFile file(fd, path);
  struct stat status = {};
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
    return Error{ErrorCode::kInvalidArgument, "[open] got no regular file, expected a GGUF file"};
  if (status.st_size == 0)
    return Error{ErrorCode::kCorrupt, "[open] got an empty file, expected a GGUF file"};
  file.size_ = static_cast<uint64_t>(status.st_size);
  file.changed_s_ = status.st_mtim.tv_sec;
  file.changed_ns_ = status.st_mtim.tv_nsec;
  return file;
}

SourceFile::SourceFile(SourceFile&& other) noexcept
    : file_(std::exchange(other.file_, -1)),
      path_(std::move(other.path_)),
      size_(other.size_),
      changed_s_(other.changed_s_),
      changed_ns_(other.changed_ns_) {}

SourceFile& SourceFile::operator=(SourceFile&& other) noexcept {
  std::swap(file_, other.file_);
  std::swap(path_, other.path_);
  std::swap(size_, other.size_);
  std::swap(changed_s_, other.changed_s_);
  std::swap(changed_ns_, other.changed_ns_);
  return *this;
}

SourceFile::~SourceFile() {
  if (file_ >= 0) ::close(file_);
}

size_t SourceFile::read_some(uint64_t offset, std::span<std::byte> out) const {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t count =
        pread(file_, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    done += static_cast<size_t>(count);
  }
  return done;
}

Result<void> SourceFile::check_unchanged() const {
  struct stat now = {};
  if (fstat(file_, &now) == 0 && static_cast<uint64_t>(now.st_size) == size_ &&
      now.st_mtim.tv_sec == changed_s_ && now.st_mtim.tv_nsec == changed_ns_) {
    return {};
  }
  return Error{ErrorCode::kCorrupt,
               fmt::format("[{}] got a file of {} bytes that was changed while it was read, "
                           "expected the {} bytes that it had: start again when it is whole, and "
                           "replace model files by renaming a new one over the old",
                           path_.string(), now.st_size, size_)};
}

Result<void> SourceFile::read(uint64_t offset, std::span<std::byte> out) const {
  const size_t count = read_some(offset, out);
  const int reason = errno;
  PIE_TRY(check_unchanged());
  if (count == out.size()) return {};
  return Error{ErrorCode::kInternal,
               fmt::format("[{}] got '{}' reading {} bytes at {}, expected a disk that gives them",
                           path_.string(), strerror(reason), out.size(), offset)};
}

Result<void> SourceFile::hash(ContentHasher& hasher) const {
  constexpr uint64_t kPiece = 1 << 20;
  std::vector<std::byte> piece(std::min(kPiece, size_));
  for (uint64_t at = 0; at < size_; at += kPiece) {
    const auto part = std::span(piece).first(std::min(kPiece, size_ - at));
    PIE_TRY(read(at, part));
    hasher.update(part);
  }
  return {};
}

}  // namespace pie::model
