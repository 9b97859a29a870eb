#pragma once
#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "base/blob.h"
#include "base/result.h"
#include "host/host_memory.h"
#include "wasm/readiness.h"

namespace pie::host {

/// What a message takes beside its bytes: an empty one is no smaller to who keeps it.
inline constexpr uint64_t kMessageOverheadBytes = 256;

inline uint64_t mailbox_bytes_of(const std::string& text) {
  return kMessageOverheadBytes + text.size();
}
/// What a blob takes in memory or on the disk.
inline uint64_t mailbox_bytes_of(const BlobRef& blob) {
  return kMessageOverheadBytes + blob->size();
}
/// What of that is in memory.
inline uint64_t mailbox_memory_of(const std::string& text) { return mailbox_bytes_of(text); }
inline uint64_t mailbox_memory_of(const BlobRef& blob) {
  return kMessageOverheadBytes + blob->memory_bytes();
}

/// What clients sent to one instance, first in, first out; charged to its host memory until it
/// goes. Thread-safe.
///
/// Nothing is bound to a receiver before it takes it: of the receivers that have not taken, the
/// k-th oldest is ready as soon as there are more than k messages, and takes the k-th. So a
/// receiver that is dropped swallows nothing, and those behind it move up.
template <class T>
class Mailbox : public std::enable_shared_from_this<Mailbox<T>> {
 public:
  explicit Mailbox(std::shared_ptr<HostMemory> memory) : memory_(std::move(memory)) {}

  struct Message {
    T content;
    Charge charge;  ///< for what it takes in memory
  };
  /// One `receive` of the program.
  class Receiver {
   public:
    explicit Receiver(std::shared_ptr<Mailbox> mailbox) : mailbox_(std::move(mailbox)) {}
    ~Receiver() { mailbox_->leave(this); }
    Receiver(const Receiver&) = delete;
    Receiver& operator=(const Receiver&) = delete;

    /// Ready when take() gives a message; stays ready afterwards.
    const wasm::ReadinessRef& event() const { return event_; }
    /// The message, once; none before it is there and after it was taken.
    std::optional<Message> take() { return mailbox_->take(this); }

   private:
    std::shared_ptr<Mailbox> mailbox_;
    wasm::ReadinessRef event_ = std::make_shared<wasm::Readiness>();
  };

  /// kResourceExhausted when the instance's host memory is full.
  Result<void> post(T content) {
    Charge charge(memory_);
    PIE_TRY(charge.try_add(mailbox_memory_of(content)));
    wasm::ReadinessRef wake;
    {
      std::lock_guard lock(mutex_);
      if (closed_) return {};
      bytes_ += mailbox_bytes_of(content);
      messages_.push_back({std::move(content), std::move(charge)});
      wake = last_ready();
    }
    if (wake) wake->fire();
    return {};
  }

  std::shared_ptr<Receiver> receive() {
    auto receiver = std::make_shared<Receiver>(this->shared_from_this());
    bool ready = false;
    {
      std::lock_guard lock(mutex_);
      ready = messages_.size() > waiting_.size();
      waiting_.push_back(receiver.get());
    }
    if (ready) receiver->event()->fire();
    return receiver;
  }

  /// Forgets what is there and what is posted later: nobody takes it any more.
  void close() {
    std::deque<Message> forgotten;  // goes after the lock is released
    std::lock_guard lock(mutex_);
    closed_ = true;
    bytes_ = 0;
    forgotten.swap(messages_);
  }

  /// Bytes of what has not been taken.
  uint64_t bytes() const {
    std::lock_guard lock(mutex_);
    return bytes_;
  }

 private:
  std::optional<Message> take(Receiver* receiver) {
    std::lock_guard lock(mutex_);
    auto it = std::find(waiting_.begin(), waiting_.end(), receiver);
    auto place = it - waiting_.begin();
    if (it == waiting_.end() || place >= static_cast<std::ptrdiff_t>(messages_.size())) return {};
    std::optional<Message> message = std::move(messages_[place]);
    messages_.erase(messages_.begin() + place);
    waiting_.erase(it);
    bytes_ -= mailbox_bytes_of(message->content);
    return message;
  }

  void leave(Receiver* receiver) {
    wasm::ReadinessRef wake;
    {
      std::lock_guard lock(mutex_);
      auto it = std::find(waiting_.begin(), waiting_.end(), receiver);
      if (it == waiting_.end()) return;
      waiting_.erase(it);
      wake = last_ready();
    }
    if (wake) wake->fire();
  }

  /// The event of the youngest receiver that has a message: the only one that a new message, or a
  /// receiver's leaving, can have made ready. Null when there is none. Needs the lock.
  wasm::ReadinessRef last_ready() const {
    if (messages_.empty() || messages_.size() > waiting_.size()) return nullptr;
    return waiting_[messages_.size() - 1]->event();
  }

  const std::shared_ptr<HostMemory> memory_;
  mutable std::mutex mutex_;
  std::deque<Message> messages_;
  std::deque<Receiver*> waiting_;  ///< receivers that have not taken, oldest first
  uint64_t bytes_ = 0;
  bool closed_ = false;
};

}  // namespace pie::host
