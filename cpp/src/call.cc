#include "call.h"

namespace pie {
namespace {

thread_local std::stop_token current_token;

}  // namespace

CancelScope::CancelScope(std::stop_token token)
    : outer_(std::exchange(current_token, std::move(token))) {}
CancelScope::~CancelScope() { current_token = std::move(outer_); }

std::stop_token current_stop_token() { return current_token; }

void CallSignal::set(bool& flag) {
  const std::lock_guard lock(mutex_);
  flag = true;
  changed_.notify_all();
}

CallSignal::Woken CallSignal::wait(std::optional<std::chrono::milliseconds> timeout) {
  const std::stop_callback stopping(current_token, [this] { stop(); });
  std::unique_lock lock(mutex_);
  const auto is_over = [this] { return is_ready_ || is_stopped_; };
  if (timeout) {
    changed_.wait_for(lock, *timeout, is_over);
  } else {
    changed_.wait(lock, is_over);
  }
  if (is_ready_) return Woken::kReady;
  return is_stopped_ ? Woken::kStopped : Woken::kTimeout;
}

}  // namespace pie
