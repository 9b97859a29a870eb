#include "pie/message.h"

#include "pie/lift.h"

namespace inferlet {

std::optional<std::string> MessageInbox::try_take() {
  abi::Option<abi::Text> out;
  abi::receive_result_get(next_.get(), &out);
  if (out.has == 0) return std::nullopt;
  next_ = OwnedHandle<abi::receive_result_drop>(abi::message_receive());
  return lift::text(out.value);
}

std::optional<Blob> BlobInbox::try_take() {
  abi::Option<abi::Handle> out;
  abi::blob_result_get(next_.get(), &out);
  if (out.has == 0) return std::nullopt;
  next_ = OwnedHandle<abi::blob_result_drop>(abi::message_receive_blob());
  return Blob(out.value);
}

void send(std::string_view message) { abi::message_send(message.data(), message.size()); }

void send_blob(Blob blob) { abi::message_send_blob(blob.release()); }

Task<std::string> receive() {
  MessageInbox inbox;
  for (;;) {
    if (auto message = inbox.try_take()) co_return std::move(*message);
    co_await until_ready(inbox.pollable());
  }
}

Task<Blob> receive_blob() {
  BlobInbox inbox;
  for (;;) {
    if (auto blob = inbox.try_take()) co_return std::move(*blob);
    co_await until_ready(inbox.pollable());
  }
}

std::optional<std::string> try_receive() { return MessageInbox().try_take(); }

std::optional<Blob> try_receive_blob() { return BlobInbox().try_take(); }

void broadcast(std::string_view topic, std::string_view message) {
  abi::message_broadcast(topic.data(), topic.size(), message.data(), message.size());
}

Subscription::Subscription(std::string_view topic)
    : handle_(abi::message_subscribe(topic.data(), topic.size())) {}

Subscription::~Subscription() {
  if (handle_) abi::subscription_unsubscribe(handle_.get());
}

std::optional<std::string> Subscription::try_next() const {
  abi::Option<abi::Text> out;
  abi::subscription_get(handle_.get(), &out);
  if (out.has == 0) return std::nullopt;
  return lift::text(out.value);
}

Task<std::string> Subscription::next() const& {
  for (;;) {
    if (auto message = try_next()) co_return std::move(*message);
    co_await until_ready(pollable());
  }
}

}  // namespace inferlet
