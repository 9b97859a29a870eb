#include "store/disk_reserve.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <string>

namespace pie::store {
namespace {

constexpr uint64_t kBytesMax = 256ULL << 20;

}  // namespace

Result<void> DiskReserve::check(const char* what, uint64_t more) const {
  struct statvfs info{};
  // A file system that cannot be asked is not known to be full; the writing itself will tell.
  if (::statvfs(folder_.c_str(), &info) != 0) return {};
  const uint64_t free_bytes = uint64_t{info.f_bavail} * info.f_frsize;
  const uint64_t share = uint64_t{info.f_blocks} * info.f_frsize / 20;
  const uint64_t kept = bytes_ == 0 ? std::min(share, kBytesMax) : bytes_;
  if (bytes_ == kNone || (free_bytes >= kept && free_bytes - kept >= more)) return {};
  return Error{ErrorCode::kResourceExhausted,
               "[" + std::string(what) + "] got " + std::to_string(free_bytes) +
                   " bytes free on the disk of " + folder_.string() + " for " +
                   std::to_string(more) + " more, expected " + std::to_string(kept) +
                   " to stay free (limits.disk_reserve_bytes); make room there"};
}

}  // namespace pie::store
