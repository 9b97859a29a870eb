#pragma once
#include <chrono>
#include <cstdint>

#include "pie/abi.h"
#include "pie/event_loop.h"
#include "pie/poll.h"

namespace inferlet {
namespace abi {

// wasi:clocks/monotonic-clock
#define PIE_CLOCK(name) \
  __attribute__((import_module("wasi:clocks/monotonic-clock@0.2.4"), import_name(name)))
PIE_CLOCK("now") uint64_t clock_now();
PIE_CLOCK("subscribe-duration") Handle clock_subscribe_duration(uint64_t nanoseconds);
#undef PIE_CLOCK

}  // namespace abi

/// Time since some moment before the program began; it never goes back.
inline std::chrono::nanoseconds now() {
  return std::chrono::nanoseconds(static_cast<int64_t>(abi::clock_now()));
}

/// Ready when so much time has passed from now on.
inline Pollable timer(std::chrono::nanoseconds duration) {
  const auto count = duration.count() < 0 ? 0 : static_cast<uint64_t>(duration.count());
  return Pollable(abi::clock_subscribe_duration(count));
}

/// `co_await sleep(100ms)`: other tasks go on meanwhile (sleep_for stops them all). The time begins
/// with the call.
inline loop::Wait sleep(std::chrono::nanoseconds duration) { return until_ready(timer(duration)); }

}  // namespace inferlet
