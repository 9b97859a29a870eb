#include "server/disk_reserve.h"

#include <sys/statvfs.h>

#include <string>

namespace pie::server {

Result<void> DiskReserve::check(const char* what, uint64_t more) const {
  struct statvfs info{};
  // A file system that cannot be asked is not known to be full; the writing itself will tell.
  if (bytes_ == 0 || ::statvfs(folder_.c_str(), &info) != 0) return {};
  const uint64_t free_bytes = uint64_t{info.f_bavail} * info.f_frsize;
  if (free_bytes >= bytes_ && free_bytes - bytes_ >= more) return {};
  return Error{ErrorCode::kResourceExhausted,
               "[" + std::string(what) + "] got " + std::to_string(free_bytes) +
                   " bytes free on the disk of " + folder_.string() + " for " +
                   std::to_string(more) + " more, expected " + std::to_string(bytes_) +
                   " to stay free (limits.disk_reserve_bytes); make room there"};
}

}  // namespace pie::server
