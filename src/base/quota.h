#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace pie {

/// A bound that several holders share. Thread-safe.
class Quota {
 public:
  /// `what` names it in refusals; `max` 0 = unlimited. What is taken here is also taken of `total`,
  /// which bounds several quotas together; it may be null and outlives this one.
  Quota(std::string what, std::string unit, uint64_t max, Quota* total = nullptr)
      : what_(std::move(what)), unit_(std::move(unit)), max_(max), total_(total) {}
  Quota(const Quota&) = delete;
  Quota& operator=(const Quota&) = delete;

  /// Whether `n` more fit, here and in the total; then they are counted in both.
  bool take(uint64_t n);
  /// Counts without asking: what has happened already.
  void add(uint64_t n);
  void give_back(uint64_t n);
  /// Begins a new period. Not for a quota with a total.
  void reset() { used_.store(0, std::memory_order_relaxed); }

  uint64_t used() const { return used_.load(std::memory_order_relaxed); }
  uint64_t max() const { return max_; }
  /// Whether less than `n` is left, here or in the total.
  bool would_exceed(uint64_t n) const {
    return is_full_for(n) || (total_ != nullptr && total_->would_exceed(n));
  }
  /// "WHAT: used U UNIT and N more asked for, allowed M", of the bound that `n` more would exceed.
  std::string refusal(uint64_t n) const;

 private:
  bool is_full_for(uint64_t n) const { return max_ > 0 && (n > max_ || used() > max_ - n); }

  const std::string what_, unit_;
  const uint64_t max_;
  Quota* const total_;
  std::atomic<uint64_t> used_{0};
};

/// Units of a quota, given back when this is destroyed. One owner, any thread.
class Holding {
 public:
  Holding() = default;  ///< of nothing: every amount fits
  explicit Holding(std::shared_ptr<Quota> quota) : quota_(std::move(quota)) {}
  Holding(Holding&& other) noexcept
      : quota_(std::move(other.quota_)), amount_(std::exchange(other.amount_, 0)) {}
  Holding& operator=(Holding&& other) noexcept {
    std::swap(quota_, other.quota_);
    std::swap(amount_, other.amount_);
    return *this;
  }
  ~Holding() { give_back(amount_); }

  /// Whether `n` more fit; then they are held.
  bool take(uint64_t n) {
    if (quota_ && !quota_->take(n)) return false;
    amount_ += n;
    return true;
  }
  /// At most what is held.
  void give_back(uint64_t n) {
    if (quota_) quota_->give_back(n);
    amount_ -= n;
  }
  uint64_t amount() const { return amount_; }
  /// Why take(n) said no.
  std::string refusal(uint64_t n) const { return quota_ ? quota_->refusal(n) : std::string(); }

 private:
  std::shared_ptr<Quota> quota_;
  uint64_t amount_ = 0;
};

}  // namespace pie
