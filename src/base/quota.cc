#include "base/quota.h"

namespace pie {

bool Quota::take(uint64_t n) {
  uint64_t used = used_.load(std::memory_order_relaxed);
  do {
    if (max_ > 0 && (n > max_ || used > max_ - n)) return false;
  } while (!used_.compare_exchange_weak(used, used + n, std::memory_order_relaxed));
  return true;
}

std::string Quota::refusal(uint64_t n) const {
  return what_ + ": used " + std::to_string(used()) + " " + unit_ + " and " + std::to_string(n) +
         " more asked for, allowed " + std::to_string(max_);
}

}  // namespace pie
