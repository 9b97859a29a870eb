#include "server/totals.h"

#include <sys/resource.h>

#include <algorithm>

#include "base/log.h"
#include "base/machine.h"

namespace pie::server {
namespace {

constexpr uint64_t kOwnFiles = 48;   ///< descriptors of the server itself, about
constexpr uint64_t kReadyShare = 8;  ///< of the descriptors: programs kept ready
constexpr uint64_t kReadyProgramsMax = 1 << 20;
constexpr uint64_t kReceiveShare = 16;  ///< of the memory: messages that are still coming

/// What the process may have once the soft limit is the hard one.
uint64_t raise_open_files() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return kOwnFiles;
  const rlimit raised{files.rlim_max, files.rlim_max};
  return ::setrlimit(RLIMIT_NOFILE, &raised) == 0 ? raised.rlim_cur : files.rlim_cur;
}

}  // namespace

TotalLimits choose_totals(TotalLimits total) {
  const uint64_t bytes = Machine::read().memory.value;
  if (total.memory_bytes_max == 0) total.memory_bytes_max = bytes / 2;
  if (total.receive_bytes_max == 0) total.receive_bytes_max = bytes / kReceiveShare;
  return total;
}

uint32_t choose_ready_programs_max() {
  return static_cast<uint32_t>(
      std::clamp<uint64_t>(raise_open_files() / kReadyShare, 1, kReadyProgramsMax));
}

uint32_t choose_connections_max(uint32_t wanted) {
  const uint64_t open_files = raise_open_files();
  const uint64_t allowed = open_files <= kOwnFiles ? 1 : (open_files - kOwnFiles) * 3 / 4;
  const uint64_t most = std::min<uint64_t>(wanted, allowed + 1);
  log::info("open files: at most {} (ulimit -n); connections: at most {}", open_files, most);
  return static_cast<uint32_t>(most);
}

}  // namespace pie::server
