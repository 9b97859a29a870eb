#include "base/quota.h"

namespace pie {

bool Quota::take(uint64_t n) {
  uint64_t used = used_.load(std::memory_order_relaxed);
  do {
    if (max_ > 0 && (n > max_ || used > max_ - n)) return false;
  } while (!used_.compare_exchange_weak(used, used + n, std::memory_order_relaxed));
  if (total_ == nullptr || total_->take(n)) return true;
  used_.fetch_sub(n, std::memory_order_relaxed);
  return false;
}

void Quota::add(uint64_t n) {
  used_.fetch_add(n, std::memory_order_relaxed);
  if (total_ != nullptr) total_->add(n);
}

void Quota::give_back(uint64_t n) {
  used_.fetch_sub(n, std::memory_order_relaxed);
  if (total_ != nullptr) total_->give_back(n);
}

std::string Quota::refusal(uint64_t n) const {
  if (!is_full_for(n) && total_ != nullptr && total_->would_exceed(n)) return total_->refusal(n);
  return what_ + ": used " + std::to_string(used()) + " " + unit_ + " and " + std::to_string(n) +
         " more asked for, allowed " + std::to_string(max_);
}

}  // namespace pie
