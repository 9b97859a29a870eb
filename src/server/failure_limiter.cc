#include "server/failure_limiter.h"

#include <algorithm>

namespace pie::server {

uint64_t FailureLimiter::delay_ms(const std::string& address, uint64_t now_ms, uint64_t jitter_ms) {
  const std::lock_guard lock(mutex_);
  auto found = next_ms_.find(address);
  if (found == next_ms_.end()) {
    if (next_ms_.size() >= kAddressesMax)
      std::erase_if(next_ms_, [now_ms](const auto& one) { return one.second <= now_ms; });
    const bool is_full = next_ms_.size() >= kAddressesMax;
    found = next_ms_.try_emplace(is_full ? "" : address, 0).first;
  }
  const uint64_t due_ms =
      std::min(std::max(now_ms + jitter_ms, found->second), now_ms + kDelayMsMax);
  found->second = due_ms + kSpacingMs;
  return due_ms - now_ms;
}

size_t FailureLimiter::address_count() const {
  const std::lock_guard lock(mutex_);
  return next_ms_.size();
}

}  // namespace pie::server
