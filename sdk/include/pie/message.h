#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "pie/model.h"
#include "pie/task.h"

namespace inferlet {

/// To the client of this instance.
void send(std::string_view message);
void send_blob(Blob blob);

/// The messages for this instance, in order. Its pollable can be waited for beside others.
class MessageInbox {
 public:
  MessageInbox() : next_(abi::message_receive()) {}
  Pollable pollable() const { return Pollable(abi::receive_result_pollable(next_.get())); }
  std::optional<std::string> try_take();

 private:
  OwnedHandle<abi::receive_result_drop> next_;
};

/// The blobs for this instance, in order.
class BlobInbox {
 public:
  BlobInbox() : next_(abi::message_receive_blob()) {}
  Pollable pollable() const { return Pollable(abi::blob_result_pollable(next_.get())); }
  std::optional<Blob> try_take();

 private:
  OwnedHandle<abi::blob_result_drop> next_;
};

/// The next message or blob for this instance, when there is one. Dropped, it takes none.
Task<std::string> receive();
Task<Blob> receive_blob();
/// The same if one waits already.
std::optional<std::string> try_receive();
std::optional<Blob> try_receive_blob();

/// To every instance of this user that has subscribed to the topic.
void broadcast(std::string_view topic, std::string_view message);

/// Delivers the topic's messages until it is destroyed.
class Subscription {
 public:
  explicit Subscription(std::string_view topic);
  Subscription(Subscription&&) = default;
  Subscription& operator=(Subscription&&) = default;
  ~Subscription();
  Pollable pollable() const { return Pollable(abi::subscription_pollable(handle_.get())); }
  std::optional<std::string> try_next() const;
  /// The next message, when there is one; the subscription outlives the task.
  Task<std::string> next() const&;
  Task<std::string> next() const&& = delete;

 private:
  OwnedHandle<abi::subscription_drop> handle_;
};

}  // namespace inferlet
