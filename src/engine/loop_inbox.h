#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/priority.h"
#include "base/strong_id.h"
#include "engine/command.h"

namespace pie::engine {

/// What came for the engine thread.
struct Mail {
  std::vector<LoopMessage> messages;
  std::unordered_map<QueueId, Priority> priorities;  ///< of queues, once the messages have begun
};

/// What the engine thread waits for. Thread-safe; its lock is held for the time of a look-up.
///
/// It also knows whom the next step is worth waiting for: an instance is *expected* from the
/// publication of a result until its next pass or synchronize, until it blocks on something else,
/// or until it is closed.
class LoopInbox {
 public:
  // From any thread.
  void post(LoopMessage message);
  /// The last one of a queue that is not received yet counts: a program may call this as often as
  /// it likes.
  void change_priority(QueueId queue, Priority priority);
  /// The instance is expected so many times less.
  void forget(InstanceId instance, uint32_t count);
  /// An instance is paused; as good as a message, if the engine thread asked for that.
  void tell_paused();
  void stop();

  // From the engine thread.
  bool stopping() const;
  Mail receive();
  /// Waits for a message; false when none came in time.
  bool wait(std::optional<std::chrono::nanoseconds> patience);
  /// The instances, once per result, are about to get results.
  void expect(std::span<const InstanceId> instances);
  /// Waits until nobody is expected any more, at most `patience`; then expects nobody.
  void gather(std::chrono::nanoseconds patience);
  enum class PausedAlert { kOff, kOn };
  /// From now on.
  void set_paused_alert(PausedAlert alert);

 private:
  void wake_for_message();
  bool has_mail() const { return !messages_.empty() || !priorities_.empty() || has_paused_; }

  mutable std::mutex mutex_;
  std::condition_variable wake_;  // of the engine thread, which alone waits
  enum class Waiting { kNo, kMessage, kGather } waiting_ = Waiting::kNo;
  bool stop_ = false;
  bool has_paused_ = false;
  PausedAlert paused_alert_ = PausedAlert::kOff;
  std::vector<LoopMessage> messages_;
  std::unordered_map<QueueId, Priority> priorities_;
  std::unordered_map<InstanceId, uint32_t> expected_;
};

}  // namespace pie::engine
