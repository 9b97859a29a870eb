#include <fmt/format.h>

#include "host/blob_reading.h"
#include "host/define.h"
#include "host/guest_errors.h"
#include "host/instance_state.h"
#include "host/message_objects.h"
#include "host/objects.h"
#include "host/subscription_queue.h"

namespace pie::host {
namespace {

using wasm::Wait;

constexpr const char* kMessage = "inferlet:core/message";
constexpr uint64_t kTopicBytesMax = 1024;
/// What a subscription takes in the bus and here, its topic's name twice.
constexpr uint64_t kSubscriptionBytes = 4096;

/// A live subscription; leaves the topic when it is dropped.
class SubscriptionObject final : public wasm::Object {
 public:
  static constexpr std::string_view kResource = "inferlet:core/message/subscription";
  SubscriptionObject(InstanceState& state, const std::string& topic)
      : state_(state),
        charge_(state.memory),
        queue_(std::make_shared<SubscriptionQueue>(state.memory)) {
    charge_.add(kSubscriptionBytes);
    token_ = value_or_throw(state.services.bus.subscribe(
        state.user, topic,
        [queue = queue_](const Bus::Message& message) { queue->push(message); }));
    ++state.subscription_count;
    subscribed_ = true;
  }
  ~SubscriptionObject() override { unsubscribe(); }

  void unsubscribe() {
    if (!subscribed_) return;
    subscribed_ = false;
    --state_.subscription_count;
    state_.services.bus.unsubscribe(token_);
    queue_->close();
  }
  SubscriptionQueue& queue() { return *queue_; }

 private:
  InstanceState& state_;  ///< outlives the instance's handles
  Charge charge_;
  std::shared_ptr<SubscriptionQueue> queue_;
  uint64_t token_ = 0;
  bool subscribed_ = false;
};

std::shared_ptr<ReceiveObject> receive(InstanceState& state) {
  return std::make_shared<ReceiveObject>(state.messages->receive());
}

std::optional<std::string> receive_result_get(ReceiveObject& self) {
  auto message = self.receiver->take();
  if (!message) return std::nullopt;
  return std::move(message->content);
}

std::shared_ptr<BlobResultObject> receive_blob(InstanceState& state) {
  auto receiver = state.blobs->receive();
  return std::make_shared<BlobResultObject>(receiver->event(),
                                            [receiver] { return receiver->take(); });
}

/// Waits until the log takes output, then writes. What can be refused is refused before the wait.
Wait<> send(InstanceState& state, std::string text) {
  check_size("message", text.size(), state.limits.message_bytes_max);
  state.output->charge(text.size());
  return {{state.output->writable()}, [output = state.output, text = std::move(text)]() mutable {
            output->ports().send_message(std::move(text));
          }};
}

Wait<> send_blob(InstanceState& state, BlobObject& blob) {
  const uint64_t size = blob.blob->size();
  if (size > state.limits.blob_bytes_max)
    throw wasm::GuestError(fmt::format("[blob] got {} bytes, expected at most {}: send it in parts",
                                       size, state.limits.blob_bytes_max));
  state.output->charge(size);
  auto read_and_send = [&state, blob = blob.blob, size]() -> Wait<> {
    auto bytes = read_later(state, blob, 0, size);
    return {{bytes}, [output = state.output, bytes] { output->ports().send_blob(bytes->take()); }};
  };
  return Wait<>::first({state.output->writable()}, std::move(read_and_send));
}

void broadcast(InstanceState& state, const std::string& topic, std::string message) {
  check_size("topic", topic.size(), kTopicBytesMax);
  check_size("message", message.size(), state.limits.text_bytes_max);
  state.services.bus.broadcast(state.user, topic,
                               std::make_shared<const std::string>(std::move(message)));
}

std::shared_ptr<SubscriptionObject> subscribe(InstanceState& state, const std::string& topic) {
  check_size("topic", topic.size(), kTopicBytesMax);
  if (state.subscription_count >= state.limits.subscriptions_max)
    throw wasm::LimitError(fmt::format("subscriptions: used {}, allowed {}",
                                       state.subscription_count, state.limits.subscriptions_max));
  return std::make_shared<SubscriptionObject>(state, topic);
}

void define_receiving(wasm::HostFunctions& functions) {
  functions.resource(ReceiveObject::kResource);
  functions.add(kMessage, "receive", receive);
  functions.add(kMessage, "[method]receive-result.pollable",
                [](ReceiveObject& self) -> wasm::ReadinessRef { return self.receiver->event(); });
  functions.add(kMessage, "[method]receive-result.get", receive_result_get);
  functions.add(kMessage, "receive-blob", receive_blob);
}

void define_topics(wasm::HostFunctions& functions) {
  functions.resource(SubscriptionObject::kResource);
  functions.add(kMessage, "broadcast", broadcast);
  functions.add(kMessage, "subscribe", subscribe);
  functions.add(kMessage, "[method]subscription.pollable",
                [](SubscriptionObject& self) { return self.queue().event(); });
  functions.add(kMessage, "[method]subscription.get",
                [](SubscriptionObject& self) { return self.queue().pop(); });
  functions.add(kMessage, "[method]subscription.unsubscribe",
                [](SubscriptionObject& self) { self.unsubscribe(); });
}

}  // namespace

void define_message(wasm::HostFunctions& functions) {
  functions.add(kMessage, "send", send);
  functions.add(kMessage, "send-blob", send_blob);
  define_receiving(functions);
  define_topics(functions);
}

}  // namespace pie::host
