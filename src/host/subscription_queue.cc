#include "host/subscription_queue.h"

#include <fmt/format.h>

#include <utility>

namespace pie::host {

void SubscriptionQueue::push(std::string message) {
  // Fired under the lock, so that a pop() that empties the queue cannot reset it in between.
  std::lock_guard lock(mutex_);
  if (closed_) return;
  bytes_ += message.size();
  messages_.push_back(std::move(message));
  while (messages_.size() > limits_.count_max || bytes_ > limits_.bytes_max) {
    bytes_ -= messages_.front().size();
    messages_.pop_front();
    ++dropped_count_;
  }
  if (!event_->ready()) event_->fire();
}

std::optional<std::string> SubscriptionQueue::pop() {
  std::lock_guard lock(mutex_);
  std::optional<std::string> next;
  if (dropped_count_ > 0) {
    next = fmt::format("[dropped {} messages]", std::exchange(dropped_count_, 0));
  } else if (!messages_.empty()) {
    next = std::move(messages_.front());
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
