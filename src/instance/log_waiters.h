#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>

namespace pie::instance {

/// Those who wait until a log that they share takes something: however many come and go, the log
/// keeps one wake-up for all of them. Thread-safe.
class LogWaiters : public std::enable_shared_from_this<LogWaiters> {
 public:
  using Wake = std::function<void()>;
  /// `subscribe` has its argument called once, from any thread, when the log takes something.
  explicit LogWaiters(std::function<void(Wake)> subscribe) : subscribe_(std::move(subscribe)) {}

  /// Calls `wake` once, when the log takes something, unless forget(who) comes before. A further
  /// one of the same `who` takes its place.
  void wait(uint64_t who, Wake wake);
  void forget(uint64_t who);
  size_t count() const;

 private:
  void log_is_writable();

  const std::function<void(Wake)> subscribe_;
  mutable std::mutex mutex_;
  std::map<uint64_t, Wake> waiting_;
  bool subscribed_ = false;
};

}  // namespace pie::instance
