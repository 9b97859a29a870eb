#pragma once
#include <cstdint>

#include "grammar/llguidance_extra.h"

namespace pie::grammar {

/// What one call of the library may take, beside the library's own limits.
struct CallBounds {
  uint64_t memory_bytes;
  uint64_t cpu_ns;
};

/// While it lives, calls of this thread are within the bounds.
class BoundedCall {
 public:
  explicit BoundedCall(const CallBounds& bounds) {
    pie_llguidance_begin_bounds(bounds.memory_bytes, bounds.cpu_ns);
  }
  ~BoundedCall() { pie_llguidance_end_bounds(); }
  BoundedCall(const BoundedCall&) = delete;
  BoundedCall& operator=(const BoundedCall&) = delete;
};

/// Adds to a sum what the library allocates in this thread while it lives, less what it frees.
class HeapMeter {
 public:
  explicit HeapMeter(int64_t& sum) : sum_(sum), begin_(pie_llguidance_thread_heap_bytes()) {}
  ~HeapMeter() { sum_ += pie_llguidance_thread_heap_bytes() - begin_; }
  HeapMeter(const HeapMeter&) = delete;
  HeapMeter& operator=(const HeapMeter&) = delete;

 private:
  int64_t& sum_;
  const int64_t begin_;
};

}  // namespace pie::grammar
