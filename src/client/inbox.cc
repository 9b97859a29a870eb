#include "client/inbox.h"

#include <fmt/format.h>

#include <utility>

namespace pie::client {

Result<protocol::ClientEvent> Inbox::take_front_locked() {
  Waiting front = std::move(events_.front());
  events_.pop_front();
  if (front.spilled_bytes > 0) {
    PIE_TRY_ASSIGN(front.event->data, spill_.pop(front.spilled_bytes));
  } else if (front.event.ok()) {
    memory_bytes_ -= front.event->data.size();
  }
  return std::move(front.event);
}

std::optional<Result<protocol::ClientEvent>> Inbox::pop_locked() {
  if (!events_.empty()) {
    Result<protocol::ClientEvent> event = take_front_locked();
    if (event.ok() && protocol::is_final(event->code)) {
      ended_ = Error{ErrorCode::kFailedPrecondition,
                     fmt::format("instance has ended: {}{}{}", protocol::to_string(event->code),
                                 event->data.empty() ? "" : ": ", event->data)};
    }
    return event;
  }
  if (ended_) return *ended_;
  if (lost_) return *lost_;
  return std::nullopt;
}

Inbox::~Inbox() {
  if (on_confirmed_) on_confirmed_();
}

void Inbox::confirm() {
  std::function<void()> told;
  {
    const std::lock_guard lock(mutex_);
    if (!events_.empty() || is_confirmed_) return;
    is_confirmed_ = true;
    told = on_confirmed_;
  }
  if (told) told();
}

bool Inbox::is_confirmed() const {
  const std::lock_guard lock(mutex_);
  return is_confirmed_;
}

void Inbox::on_confirmed(std::function<void()> told) {
  const std::lock_guard lock(mutex_);
  on_confirmed_ = std::move(told);
}

std::optional<Result<protocol::ClientEvent>> Inbox::try_pop() {
  const std::lock_guard lock(mutex_);
  return pop_locked();
}

Result<protocol::ClientEvent> Inbox::pop(std::optional<std::chrono::milliseconds> timeout) {
  std::unique_lock lock(mutex_);
  std::optional<Result<protocol::ClientEvent>> event;
  const auto has_event = [&] { return (event = pop_locked()).has_value(); };
  if (!timeout) {
    ready_.wait(lock, has_event);
  } else if (!ready_.wait_for(lock, *timeout, has_event)) {
    return Error{ErrorCode::kTimeout,
                 fmt::format("[recv] got no event within {} ms", timeout->count())};
  }
  return std::move(*event);
}

uint64_t Inbox::when_ready(std::function<void()> wake) {
  {
    const std::lock_guard lock(mutex_);
    if (events_.empty() && !ended_ && !lost_) {
      waiters_.emplace(next_waiter_, std::move(wake));
      return next_waiter_++;
    }
  }
  wake();
  return 0;
}

void Inbox::forget(uint64_t waiter) {
  const std::lock_guard lock(mutex_);
  waiters_.erase(waiter);
}

std::optional<Error> Inbox::end() const {
  const std::lock_guard lock(mutex_);
  return ended_;
}

bool Inbox::has_final() const {
  const std::lock_guard lock(mutex_);
  return has_final_;
}

void Inbox::on_event(Result<protocol::ClientEvent> event) {
  std::unique_lock lock(mutex_);
  is_confirmed_ = false;
  if (event.ok() && protocol::is_final(event->code)) has_final_ = true;
  Waiting waiting{std::move(event)};
  if (waiting.event.ok()) {
    std::string& data = waiting.event->data;
    const bool is_too_much =
        data.size() >= kSpilledBytesMin && memory_bytes_ + data.size() > kMemoryBytesMax;
    // A disk that takes no more leaves it in memory: nothing is dropped.
    if (is_too_much && spill_.push(data).ok()) {
      waiting.spilled_bytes = data.size();
      std::string().swap(data);
    } else {
      memory_bytes_ += data.size();
    }
  }
  events_.push_back(std::move(waiting));
  wake_all(std::move(lock));
}

void Inbox::on_lost(const Error& error) {
  std::unique_lock lock(mutex_);
  if (!lost_) lost_ = error;
  wake_all(std::move(lock));
}

void Inbox::wake_all(std::unique_lock<std::mutex> lock) {
  const auto waiters = std::exchange(waiters_, {});
  ready_.notify_all();
  lock.unlock();
  for (const auto& [id, wake] : waiters) wake();
}

}  // namespace pie::client
