#include "engine/loop_inbox.h"

#include <utility>

namespace pie::engine {

void LoopInbox::wake_for_message() {
  if (waiting_ == Waiting::kMessage) wake_.notify_one();
}

void LoopInbox::post(LoopMessage message) {
  const std::lock_guard lock(mutex_);
  messages_.push_back(std::move(message));
  wake_for_message();
}

void LoopInbox::change_priority(QueueId queue, Priority priority) {
  const std::lock_guard lock(mutex_);
  priorities_[queue] = priority;
  wake_for_message();
}

void LoopInbox::forget(InstanceId instance, uint32_t count) {
  const std::lock_guard lock(mutex_);
  const auto at = expected_.find(instance);
  if (at == expected_.end()) return;
  if (at->second > count) {
    at->second -= count;
    return;
  }
  expected_.erase(at);
  if (expected_.empty() && waiting_ == Waiting::kGather) wake_.notify_one();
}

void LoopInbox::tell_paused() {
  const std::lock_guard lock(mutex_);
  if (paused_alert_ == PausedAlert::kOff) return;
  has_paused_ = true;
  wake_for_message();
}

void LoopInbox::set_paused_alert(PausedAlert alert) {
  const std::lock_guard lock(mutex_);
  paused_alert_ = alert;
  has_paused_ = false;
}

void LoopInbox::stop() {
  const std::lock_guard lock(mutex_);
  stop_ = true;
  wake_.notify_one();
}

bool LoopInbox::stopping() const {
  const std::lock_guard lock(mutex_);
  return stop_;
}

Mail LoopInbox::receive() {
  const std::lock_guard lock(mutex_);
  return {std::exchange(messages_, {}), std::exchange(priorities_, {})};
}

bool LoopInbox::wait(std::optional<std::chrono::nanoseconds> patience) {
  std::unique_lock lock(mutex_);
  const auto come = [&] { return stop_ || has_mail(); };
  waiting_ = Waiting::kMessage;
  if (patience) {
    wake_.wait_for(lock, *patience, come);
  } else {
    wake_.wait(lock, come);
  }
  waiting_ = Waiting::kNo;
  const bool has_come = come();
  has_paused_ = false;
  return has_come;
}

void LoopInbox::expect(std::span<const InstanceId> instances) {
  const std::lock_guard lock(mutex_);
  for (const InstanceId instance : instances) ++expected_[instance];
}

void LoopInbox::gather(std::chrono::nanoseconds patience) {
  std::unique_lock lock(mutex_);
  waiting_ = Waiting::kGather;
  wake_.wait_for(lock, patience, [&] { return stop_ || expected_.empty(); });
  waiting_ = Waiting::kNo;
  expected_.clear();
}

}  // namespace pie::engine
