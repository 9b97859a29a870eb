#pragma once
#include <cstdint>

namespace pie {

/// Of a queue's commands before those of others; higher goes first.
enum class Priority : uint8_t { kLow, kNormal, kHigh };

}  // namespace pie
