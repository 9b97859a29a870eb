#include "client/upload.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/unique_fd.h"

namespace pie::client {
namespace {

class UploadFile {
 public:
  explicit UploadFile(int fd) : fd_(fd) {}

  Result<void> read(uint64_t offset, std::span<uint8_t> out) const {
    size_t done = 0;
    while (done < out.size()) {
      const ssize_t n = ::pread(fd_.get(), out.data() + done, out.size() - done,
                                static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return Error{ErrorCode::kInternal, fmt::format("[read] {}", strerror(errno))};
      if (n == 0) {
        return Error{ErrorCode::kFailedPrecondition,
                     "[read] got the end of the file early: it became shorter meanwhile"};
      }
      done += static_cast<size_t>(n);
    }
    return {};
  }

 private:
  const UniqueFd fd_;
};

}  // namespace

UploadSource borrowed_source(std::span<const uint8_t> bytes, std::shared_ptr<void> owner) {
  return {bytes.size(), [bytes, owner = std::move(owner)](uint64_t offset, std::span<uint8_t> out) {
            if (!out.empty()) std::memcpy(out.data(), bytes.data() + offset, out.size());
            return Result<void>();
          }};
}

Result<UploadSource> file_source(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return Error{errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kInternal,
                 fmt::format("[open {}] {}", path, strerror(errno))};
  }
  auto file = std::make_shared<UploadFile>(fd);
  struct stat info{};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    return Error{ErrorCode::kInvalidArgument, fmt::format("[open {}] not a regular file", path)};
  }
  return UploadSource{
      static_cast<uint64_t>(info.st_size),
      [file](uint64_t offset, std::span<uint8_t> out) { return file->read(offset, out); }};
}

}  // namespace pie::client
