#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <stop_token>

#include "base/result.h"

namespace pie::model {

/// What code that we did not write may spend on input that we do not trust.
struct RunBounds {
  size_t memory_bytes = 64U << 20;  ///< of operator new, at any one time
  uint64_t cpu_ns = 2'000'000'000;  ///< of its thread
  size_t stack_bytes = 8U << 20;    ///< of recursion that allocates
};

/// Runs `work` on a thread of its own, with a stack of its own, and waits for it. Within it,
/// `operator new` refuses beyond the bounds and once `stop` is requested, by an exception that
/// `work` must let pass. What recurses without allocating (destructors) has room for what
/// `memory_bytes` can hold. Work that goes on beyond its time without allocating is left behind at
/// the lowest priority, so that `work` must own what it uses: later it may still end.
/// kUnavailable: there is no thread. kResourceExhausted: "more than N ..., expected ...";
/// kCancelled when stopped; else what `work` threw, as kInternal with its words. Thread-safe.
/// `cpu_ns`, if given, gets the processor time that it took.
Result<void> run_bounded(const RunBounds& bounds, std::stop_token stop, std::function<void()> work,
                         uint64_t* cpu_ns = nullptr);

}  // namespace pie::model
