#pragma once
#include <atomic>
#include <cstdint>
#include <string>

#include "base/quota.h"

namespace pie::wasm {

/// What one instance uses of memory, and may use: its linear memories in their whole size, whether
/// a page was written or is still shared with the program's image, and what is kept for it beside
/// them. Growth happens on the thread that runs the instance; figures are read from any thread.
class MemoryBudget {
 public:
  /// `shared` bounds several instances together; it may be null and outlives the budget.
  explicit MemoryBudget(uint64_t bytes_max, Quota* shared = nullptr)
      : bytes_max_(bytes_max), shared_(shared) {}

  ~MemoryBudget() { give_back(used_bytes()); }
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;

  /// Whether `bytes` more fit; then they are counted, else the refusal is remembered.
  bool take(uint64_t bytes);
  void give_back(uint64_t bytes) {
    used_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
    if (shared_) shared_->give_back(bytes);
  }

  uint64_t used_bytes() const { return used_bytes_.load(std::memory_order_relaxed); }
  uint64_t bytes_max() const { return bytes_max_; }
  /// What would have been used, had the last refused growth been granted; 0: none was refused.
  uint64_t refused_bytes() const { return refused_bytes_; }
  /// The shared bound's words for its refusal; "" when it was the instance's own limit.
  const std::string& shared_refusal() const { return shared_refusal_; }

  /// The machine, not the limit, refused memory.
  void set_machine_full() { machine_full_ = true; }
  bool machine_full() const { return machine_full_; }

 private:
  const uint64_t bytes_max_;
  Quota* const shared_;
  std::string shared_refusal_;
  std::atomic<uint64_t> used_bytes_{0};
  uint64_t refused_bytes_ = 0;
  bool machine_full_ = false;
};

}  // namespace pie::wasm
