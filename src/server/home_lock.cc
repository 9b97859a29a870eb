#include "server/home_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>

namespace pie::server {

Result<std::unique_ptr<HomeLock>> HomeLock::take(const std::filesystem::path& home) {
  std::error_code failed;
  std::filesystem::create_directories(home / "run", failed);
  const std::filesystem::path file = home / "run" / "lock";
  const int fd = failed ? -1 : ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    return Error{ErrorCode::kPermissionDenied,
                 "[PIE_HOME] got '" + (failed ? failed.message() : std::strerror(errno)) +
                     "' for " + file.string() + ", expected a folder that can be written"};
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return std::unique_ptr<HomeLock>(new HomeLock(fd));
  ::close(fd);
  return Error{ErrorCode::kFailedPrecondition,
               "[PIE_HOME] got " + home.string() +
                   ", which another pie server is using, expected one of its own; stop that server "
                   "or set PIE_HOME"};
}

HomeLock::~HomeLock() { ::close(fd_); }

}  // namespace pie::server
