#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "host/host_memory.h"
#include "wasm/readiness.h"

namespace pie::host {

/// Broadcasts that one subscription has not read. Bounded, and charged to the subscriber's host
/// memory: when either is full the oldest go, and the subscriber reads "[dropped N messages]" in
/// their place. Thread-safe.
class SubscriptionQueue {
 public:
  struct Limits {
    size_t count_max = 1024;
    size_t bytes_max = 4U << 20;
  };
  explicit SubscriptionQueue(std::shared_ptr<HostMemory> memory)
      : SubscriptionQueue(std::move(memory), Limits{}) {}
  SubscriptionQueue(std::shared_ptr<HostMemory> memory, Limits limits)
      : memory_(std::move(memory)), limits_(limits) {}

  /// Appends, without a copy; ignored after close().
  void push(const std::shared_ptr<const std::string>& message);
  /// The next message, or the notice of dropped ones, or none.
  std::optional<std::string> pop();
  /// Forgets what is queued and takes nothing more.
  void close();
  /// Ready while pop() would give something.
  const wasm::ReadinessRef& event() const { return event_; }

 private:
  struct Message {
    std::shared_ptr<const std::string> text;
    Charge charge;
  };
  void drop_oldest();

  const std::shared_ptr<HostMemory> memory_;
  const Limits limits_;
  const wasm::ReadinessRef event_ = std::make_shared<wasm::Readiness>();
  std::mutex mutex_;
  std::deque<Message> messages_;
  size_t bytes_ = 0;
  uint64_t dropped_count_ = 0;  ///< dropped in front of messages_, not told yet
  bool closed_ = false;
};

}  // namespace pie::host
