#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "base/result.h"
#include "client/spill.h"
#include "protocol/client_session.h"

namespace pie::client {

/// The events of one instance on their way from the connection to whoever receives them. Nothing is
/// handed out but by pop(): a receiver that gives up waiting loses no event. Payloads beyond
/// kMemoryBytesMax wait in a temporary file, so that a receiver that is slow costs disk and not
/// memory, and the connection goes on for everybody else. Thread-safe.
class Inbox final : public protocol::EventSink {
 public:
  static constexpr size_t kMemoryBytesMax = 8u << 20;
  static constexpr size_t kSpilledBytesMin = 512;  ///< shorter ones are not worth a write

  Inbox() = default;
  ~Inbox() override;

  /// The next event, nothing when there is none yet, or why there will be none: kFailedPrecondition
  /// "instance has ended: ..." after the final event, the connection's loss after the last one that
  /// came.
  std::optional<Result<protocol::ClientEvent>> try_pop();
  /// What was handed out is dealt with: once nothing else waits either, the server may learn that
  /// it arrived (ClientOptions::confirms_events).
  void confirm();
  /// Whether every event that came was handed out and confirmed.
  bool is_confirmed() const;
  /// Calls `told`, on the thread of who confirms, whenever all is confirmed, and when the inbox
  /// goes.
  void on_confirmed(std::function<void()> told);

  /// Waits for it; kTimeout when it does not come in time.
  Result<protocol::ClientEvent> pop(
      std::optional<std::chrono::milliseconds> timeout = std::nullopt);

  /// Calls `wake` once, as soon as try_pop() has something to say: at once on the caller's thread,
  /// or later on another. The number is for forget().
  uint64_t when_ready(std::function<void()> wake);
  /// The waiter is not called any more (unless it is being called just now).
  void forget(uint64_t waiter);

  /// Once the final event was handed out: the error that pop() gives from then on.
  std::optional<Error> end() const;
  /// Whether the final event has come, handed out or not.
  bool has_final() const;

  void on_event(Result<protocol::ClientEvent> event) override;
  void on_lost(const Error& error) override;

 private:
  struct Waiting {
    Result<protocol::ClientEvent> event;
    size_t spilled_bytes = 0;  ///< of the payload, which is in spill_ then
  };
  std::optional<Result<protocol::ClientEvent>> pop_locked();
  Result<protocol::ClientEvent> take_front_locked();
  void wake_all(std::unique_lock<std::mutex> lock);

  mutable std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Waiting> events_;
  size_t memory_bytes_ = 0;
  Spill spill_;
  bool is_confirmed_ = true;
  std::function<void()> on_confirmed_;
  bool has_final_ = false;
  std::optional<Error> ended_;
  std::optional<Error> lost_;
  std::map<uint64_t, std::function<void()>> waiters_;
  uint64_t next_waiter_ = 1;
};

}  // namespace pie::client
