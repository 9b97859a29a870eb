#pragma once
#include <atomic>
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

/// A clock that a test moves.
class FakeClock final : public Clock {
 public:
  uint64_t now_ns() const override { return now_ns_; }
  uint64_t wall_ns() const override { return wall_ns_; }
  void advance_ns(uint64_t ns) { now_ns_ += ns, wall_ns_ += ns; }

 private:
  std::atomic<uint64_t> now_ns_{1'000'000'000};
  std::atomic<uint64_t> wall_ns_{1'700'000'000'000'000'000};
};

}  // namespace pie
