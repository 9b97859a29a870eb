#pragma once
#include <cstdint>

#include "base/limits.h"

namespace pie::server {

/// The bounds over all users: a zero is a share of the machine's memory. What is left is for the
/// weights, the KV pages and the server itself.
TotalLimits choose_totals(TotalLimits total);

/// Connections at once: as many as the descriptors allow, at most `wanted`; some are kept for the
/// store and what programs do. Raises the process's soft limit of open files to the hard one.
uint32_t choose_connections_max(uint32_t wanted);

/// Compiled programs that are kept ready: an eighth of the descriptors, as each has a file open.
uint32_t choose_ready_programs_max();

}  // namespace pie::server
