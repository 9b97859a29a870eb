#pragma once
#include <atomic>
#include <cstdint>

#include "base/clock.h"

namespace pie {

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
