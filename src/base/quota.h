#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

namespace pie {

/// A bound that several holders share. Thread-safe.
class Quota {
 public:
  /// `what` names it in refusals; `max` 0 = unlimited.
  Quota(std::string what, std::string unit, uint64_t max)
      : what_(std::move(what)), unit_(std::move(unit)), max_(max) {}

  /// Whether `n` more fit; then they are counted.
  bool take(uint64_t n);
  /// Counts without asking: what has happened already.
  void add(uint64_t n) { used_.fetch_add(n, std::memory_order_relaxed); }
  void give_back(uint64_t n) { used_.fetch_sub(n, std::memory_order_relaxed); }
  /// Begins a new period.
  void reset() { used_.store(0, std::memory_order_relaxed); }

  uint64_t used() const { return used_.load(std::memory_order_relaxed); }
  uint64_t max() const { return max_; }
  /// Whether less than `n` is left.
  bool would_exceed(uint64_t n) const { return max_ > 0 && used() + n > max_; }
  /// "WHAT: used U UNIT and N more asked for, allowed M".
  std::string refusal(uint64_t n) const;

 private:
  const std::string what_, unit_;
  const uint64_t max_;
  std::atomic<uint64_t> used_{0};
};

/// What the instances of one user share (protocol.md, section 7, "Ends"; section 1, limits).
struct UserQuotas {
  Quota memory;       ///< linear memories of instances that run, bytes
  Quota cpu;          ///< CPU time in the current hour, nanoseconds
  Quota kv_pages;     ///< of instances that run
  Quota output;       ///< said in the current hour, bytes
  Quota stored_logs;  ///< said and not yet delivered, and what is kept of each instance, bytes
};
using UserQuotasRef = std::shared_ptr<UserQuotas>;

}  // namespace pie
