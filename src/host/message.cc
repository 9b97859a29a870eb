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

using wasm::Call;
using wasm::Value;
using wasm::Wait;

constexpr const char* kMessage = "inferlet:core/message";
constexpr const char* kReceiveResource = "inferlet:core/message/receive-result";
constexpr const char* kSubscriptionResource = "inferlet:core/message/subscription";
constexpr uint64_t kTopicBytesMax = 1024;
/// What a subscription takes in the bus and here, its topic's name twice.
constexpr uint64_t kSubscriptionBytes = 4096;

/// A live subscription; leaves the topic when it is dropped.
class SubscriptionObject final : public wasm::Object {
 public:
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

Value option_of(std::optional<std::string> text) {
  return text ? Value::some(Value::string(std::move(*text))) : Value::none();
}

void receive_result_get(Call& call) {
  auto message = call.object<ReceiveObject>(0)->receiver->take();
  call.ret(message ? Value::some(Value::string(std::move(message->content))) : Value::none());
}

/// Waits until the log takes output, then writes. What can be refused is refused before the wait.
Wait send(Call& call) {
  InstanceState& state = state_of(call);
  std::string text(call.string(0));
  check_size("message", text.size(), state.limits.message_bytes_max);
  state.output->charge(text.size());
  auto finish = [output = state.output,
                 text = std::move(text)](const std::vector<uint32_t>&) mutable {
    output->ports().send_message(std::move(text));
    return Value::none();
  };
  return {{state.output->writable()}, std::move(finish)};
}

Wait send_blob(Call& call) {
  InstanceState& state = state_of(call);
  auto blob = call.object<BlobObject>(0);
  const uint64_t size = blob->blob->size();
  if (size > state.limits.blob_bytes_max)
    throw wasm::GuestError(fmt::format("[blob] got {} bytes, expected at most {}: send it in parts",
                                       size, state.limits.blob_bytes_max));
  state.output->charge(size);
  auto read_and_send = [&state, blob = blob->blob, size]() -> Wait {
    auto bytes = read_later(state, blob, 0, size);
    return {{bytes}, [output = state.output, bytes](const std::vector<uint32_t>&) {
              output->ports().send_blob(bytes->take());
              return Value::none();
            }};
  };
  return {{state.output->writable()}, nullptr, std::move(read_and_send)};
}

void broadcast(Call& call) {
  InstanceState& state = state_of(call);
  check_size("topic", call.string(0).size(), kTopicBytesMax);
  check_size("message", call.string(1).size(), state.limits.text_bytes_max);
  state.services.bus.broadcast(state.user, std::string(call.string(0)),
                               std::make_shared<const std::string>(call.string(1)));
}

void subscribe(Call& call) {
  InstanceState& state = state_of(call);
  check_size("topic", call.string(0).size(), kTopicBytesMax);
  if (state.subscription_count >= state.limits.subscriptions_max)
    throw wasm::LimitError(fmt::format("subscriptions: used {}, allowed {}",
                                       state.subscription_count, state.limits.subscriptions_max));
  call.ret(Value::handle(kSubscriptionResource,
                         std::make_shared<SubscriptionObject>(state, std::string(call.string(0)))));
}

void define_receiving(wasm::Registry& registry) {
  registry.resource(kMessage, "receive-result");
  registry.function(kMessage, "receive", [](Call& call) {
    call.ret(Value::handle(kReceiveResource,
                           std::make_shared<ReceiveObject>(state_of(call).messages->receive())));
  });
  registry.function(kMessage, "[method]receive-result.pollable", [](Call& call) {
    call.ret(wasm::make_pollable(call.object<ReceiveObject>(0)->receiver->event()));
  });
  registry.function(kMessage, "[method]receive-result.get", receive_result_get);
  registry.function(kMessage, "receive-blob", [](Call& call) {
    call.ret(Value::handle(kBlobResultResource,
                           std::make_shared<BlobResultObject>(state_of(call).blobs->receive())));
  });
}

void define_topics(wasm::Registry& registry) {
  registry.resource(kMessage, "subscription");
  registry.function(kMessage, "broadcast", broadcast);
  registry.function(kMessage, "subscribe", subscribe);
  registry.function(kMessage, "[method]subscription.pollable", [](Call& call) {
    call.ret(wasm::make_pollable(call.object<SubscriptionObject>(0)->queue().event()));
  });
  registry.function(kMessage, "[method]subscription.get", [](Call& call) {
    call.ret(option_of(call.object<SubscriptionObject>(0)->queue().pop()));
  });
  registry.function(kMessage, "[method]subscription.unsubscribe",
                    [](Call& call) { call.object<SubscriptionObject>(0)->unsubscribe(); });
}

}  // namespace

void define_message(wasm::Registry& registry) {
  registry.async_function(kMessage, "send", send);
  registry.async_function(kMessage, "send-blob", send_blob);
  define_receiving(registry);
  define_topics(registry);
}

}  // namespace pie::host
