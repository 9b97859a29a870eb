#pragma once
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>

#include "wasm/event.h"

namespace pie::host {

/// Broadcasts that one subscription has not read. Bounded: when it is full the oldest go, and the
/// subscriber reads "[dropped N messages]" in their place. Thread-safe.
class SubscriptionQueue {
 public:
  struct Limits {
    size_t count_max = 1024;
    size_t bytes_max = 4U << 20;
  };
  SubscriptionQueue() : SubscriptionQueue(Limits{}) {}
  explicit SubscriptionQueue(Limits limits) : limits_(limits) {}

  /// Appends; ignored after close().
  void push(std::string message);
  /// The next message, or the notice of dropped ones, or none.
  std::optional<std::string> pop();
  /// Forgets what is queued and takes nothing more.
  void close();
  /// Ready while pop() would give something.
  const wasm::EventRef& event() const { return event_; }

 private:
  const Limits limits_;
  const wasm::EventRef event_ = std::make_shared<wasm::Event>();
  std::mutex mutex_;
  std::deque<std::string> messages_;
  size_t bytes_ = 0;
  uint64_t dropped_count_ = 0;  ///< dropped in front of messages_, not told yet
  bool closed_ = false;
};

}  // namespace pie::host
