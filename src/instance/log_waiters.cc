#include "instance/log_waiters.h"

#include <utility>

namespace pie::instance {

void LogWaiters::wait(uint64_t who, Wake wake) {
  {
    const std::lock_guard lock(mutex_);
    waiting_[who].swap(wake);
    if (std::exchange(subscribed_, true)) return;
  }
  subscribe_([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->log_is_writable();
  });
}

void LogWaiters::forget(uint64_t who) {
  Wake forgotten;  // what it holds goes after the lock
  const std::lock_guard lock(mutex_);
  const auto found = waiting_.find(who);
  if (found == waiting_.end()) return;
  forgotten.swap(found->second);
  waiting_.erase(found);
}

size_t LogWaiters::count() const {
  const std::lock_guard lock(mutex_);
  return waiting_.size();
}

void LogWaiters::log_is_writable() {
  std::map<uint64_t, Wake> woken;
  {
    const std::lock_guard lock(mutex_);
    subscribed_ = false;
    woken.swap(waiting_);
  }
  for (const auto& [who, wake] : woken) wake();
}

}  // namespace pie::instance
