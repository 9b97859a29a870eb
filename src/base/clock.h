#pragma once
#include <cstdint>

namespace pie {

/// Time as a dependency, so that tests need not sleep. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  /// Monotonic, nanoseconds from an arbitrary start.
  virtual uint64_t now_ns() const = 0;
  /// Wall clock, nanoseconds since 1970-01-01 UTC.
  virtual uint64_t wall_ns() const = 0;
};

/// The machine's clocks. Lives as long as the process.
const Clock& system_clock();

}  // namespace pie
