#include "host/subscription_queue.h"

#include <fmt/format.h>

#include <utility>

#include "host/mailbox.h"

namespace pie::host {

void SubscriptionQueue::push(const std::shared_ptr<const std::string>& message) {
  // Fired under the lock, so that a pop() that empties the queue cannot reset it in between.
  std::lock_guard lock(mutex_);
  if (closed_) return;
  const size_t size = message->size();
  while (!messages_.empty() &&
         (messages_.size() + 1 > limits_.count_max || bytes_ + size > limits_.bytes_max))
    drop_oldest();
  Charge charge(memory_);
  bool held = size <= limits_.bytes_max && charge.try_add(kMessageOverheadBytes + size).ok();
  while (!held && size <= limits_.bytes_max && !messages_.empty()) {
    drop_oldest();
    held = charge.try_add(kMessageOverheadBytes + size).ok();
  }
  if (held) {
    bytes_ += size;
    messages_.push_back({message, std::move(charge)});
  } else {
    ++dropped_count_;  // what was older went before it
  }
  if (!event_->ready()) event_->fire();
}

void SubscriptionQueue::drop_oldest() {
  bytes_ -= messages_.front().text->size();
  messages_.pop_front();
  ++dropped_count_;
}

std::optional<std::string> SubscriptionQueue::pop() {
  std::lock_guard lock(mutex_);
  std::optional<std::string> next;
  if (dropped_count_ > 0) {
    next = fmt::format("[dropped {} messages]", std::exchange(dropped_count_, 0));
  } else if (!messages_.empty()) {
    next = *messages_.front().text;
    messages_.pop_front();
    bytes_ -= next->size();
  }
  if (messages_.empty()) event_->reset();
  return next;
}

void SubscriptionQueue::close() {
  std::lock_guard lock(mutex_);
  closed_ = true;
  messages_.clear();
  bytes_ = 0;
  dropped_count_ = 0;
  event_->reset();
}

}  // namespace pie::host
