#include "client/spill.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>

namespace pie::client {
namespace {

Error failed(std::string_view step) {
  return {ErrorCode::kResourceExhausted, "[events on disk] " + std::string(step) + ": " +
                                             std::strerror(errno) +
                                             "; receive events sooner, or make room in TMPDIR"};
}

int open_nameless() {
  std::error_code ignored;
  const std::string folder = std::filesystem::temp_directory_path(ignored).string();
  const int fd = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0) return fd;
  std::string name = folder + "/pie-events-XXXXXX";  // a file system without O_TMPFILE
  const int named = ::mkostemp(name.data(), O_CLOEXEC);
  if (named >= 0) ::unlink(name.c_str());
  return named;
}

}  // namespace

Spill::~Spill() {
  if (fd_ >= 0) ::close(fd_);
}

Result<void> Spill::push(std::string_view bytes) {
  if (fd_ < 0) fd_ = open_nameless();
  if (fd_ < 0) return failed("open");
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::pwrite(fd_, bytes.data() + done, bytes.size() - done,
                               static_cast<off_t>(write_at_ + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return failed("write");
    done += static_cast<size_t>(n);
  }
  write_at_ += bytes.size();
  return {};
}

Result<std::string> Spill::pop(size_t size) {
  std::string bytes(size, '\0');
  size_t done = 0;
  while (done < size) {
    const ssize_t n =
        ::pread(fd_, bytes.data() + done, size - done, static_cast<off_t>(read_at_ + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return failed("read");
    done += static_cast<size_t>(n);
  }
  read_at_ += size;
  if (read_at_ == write_at_ && ::ftruncate(fd_, 0) == 0) read_at_ = write_at_ = 0;
  return bytes;
}

}  // namespace pie::client
