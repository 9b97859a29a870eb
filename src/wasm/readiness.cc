#include "wasm/readiness.h"

#include <utility>

namespace pie::wasm {

void Readiness::fire() {
  std::map<uint64_t, std::function<void()>> woken;
  {
    std::lock_guard lock(mutex_);
    ready_.store(true, std::memory_order_release);
    woken.swap(waiters_);
  }
  for (const auto& [token, wake] : woken) wake();
}

uint64_t Readiness::add_waiter(std::function<void()> wake) {
  uint64_t token;
  {
    std::lock_guard lock(mutex_);
    token = next_token_++;
    if (!ready()) {
      waiters_.emplace_hint(waiters_.end(), token, std::move(wake));
      return token;
    }
  }
  wake();
  return token;
}

void Readiness::remove_waiter(uint64_t token) {
  std::map<uint64_t, std::function<void()>>::node_type removed;  // goes after the lock is released
  std::lock_guard lock(mutex_);
  removed = waiters_.extract(token);
}

}  // namespace pie::wasm
