#pragma once
#include <cstdint>

namespace pie {

/// The largest archive that is a program (protocol.md, 6.11): servers refuse a larger one, and
/// clients make none.
inline constexpr uint64_t kArchiveBytesMax = 64ULL << 20;

}  // namespace pie
