#include "wasm/event.h"

#include <algorithm>
#include <utility>

namespace pie::wasm {

void Event::fire() {
  std::vector<Waiter> woken;
  {
    std::lock_guard lock(mutex_);
    ready_.store(true, std::memory_order_release);
    woken.swap(waiters_);
  }
  for (Waiter& waiter : woken) waiter.wake();
}

uint64_t Event::add_waiter(std::function<void()> wake) {
  uint64_t token;
  {
    std::lock_guard lock(mutex_);
    token = next_token_++;
    if (!ready()) {
      waiters_.push_back({token, std::move(wake)});
      return token;
    }
  }
  wake();
  return token;
}

void Event::remove_waiter(uint64_t token) {
  std::function<void()> removed;  // destroyed after the lock is released
  std::lock_guard lock(mutex_);
  const auto it = std::find_if(waiters_.begin(), waiters_.end(),
                               [&](const Waiter& waiter) { return waiter.token == token; });
  if (it == waiters_.end()) return;
  removed = std::move(it->wake);
  waiters_.erase(it);
}

}  // namespace pie::wasm
