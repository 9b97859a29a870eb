// Commands of inferlet:core/message and of blobs.
#include "probe.h"

namespace probe {
namespace {

std::string option_answer(const abi::Option<abi::Text>& out) {
  return out.has != 0 ? ok(hex(lift::text(out.value))) : "none";
}

std::string send(State&, Words& words) {
  const std::string text = words.text();
  abi::message_send(text.data(), text.size());
  return ok();
}

/// A receive that nobody reads must not swallow the next message.
std::string drop_receive(State&, Words&) {
  abi::receive_result_drop(abi::message_receive());
  return ok();
}

std::string receive_now(State&, Words&) {
  const abi::Handle result = abi::message_receive();
  abi::Option<abi::Text> out;
  abi::receive_result_get(result, &out);
  abi::receive_result_drop(result);
  return option_answer(out);
}

std::string broadcast(State&, Words& words) {
  const std::string topic = words.text();
  const std::string message = words.text();
  abi::message_broadcast(topic.data(), topic.size(), message.data(), message.size());
  return ok();
}

std::string subscribe(State& state, Words& words) {
  const std::string topic = words.text();
  return state.subscriptions.add(abi::message_subscribe(topic.data(), topic.size()));
}

std::string subscription_ready(State& state, Words&) {
  const abi::Handle pollable = abi::subscription_pollable(state.subscriptions.get());
  const bool is_ready = abi::pollable_ready(pollable) != 0;
  abi::pollable_drop(pollable);
  return ok(is_ready ? "true" : "false");
}

std::string subscription_get(State& state, Words&) {
  abi::Option<abi::Text> out;
  abi::subscription_get(state.subscriptions.get(), &out);
  return option_answer(out);
}

std::string subscription_wait(State& state, Words& words) {
  block(abi::subscription_pollable(state.subscriptions.get()));
  return subscription_get(state, words);
}

std::string blob(State& state, Words& words) {
  const std::string bytes = words.text();
  return state.blobs.add(
      abi::blob_new(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()));
}

std::string blob_fill(State& state, Words& words) {
  const uint32_t size = words.number();
  const std::vector<uint8_t> bytes(size, static_cast<uint8_t>(words.number()));
  return state.blobs.add(abi::blob_new(bytes.data(), bytes.size()));
}

std::string blob_read(State& state, Words& words) {
  const uint64_t offset = words.number64();
  const uint64_t count = words.number64();
  abi::Bytes out;
  abi::blob_read(state.blobs.get(), offset, count, &out);
  const std::vector<uint8_t> bytes = lift::numbers(out);
  return ok(hex(std::string(bytes.begin(), bytes.end())));
}

/// Reads it in pieces: number of bytes, sum of the bytes.
std::string blob_sum(State& state, Words&) {
  constexpr uint64_t kPiece = 1 << 18;
  uint64_t count = 0;
  uint64_t sum = 0;
  for (;;) {
    abi::Bytes out;
    abi::blob_read(state.blobs.get(), count, kPiece, &out);
    const std::vector<uint8_t> bytes = lift::numbers(out);
    if (bytes.empty()) break;
    count += bytes.size();
    for (const uint8_t byte : bytes) sum += byte;
  }
  return ok(std::to_string(count) + " " + std::to_string(sum));
}

std::string receive_blob(State& state, Words&) {
  const abi::Handle result = abi::message_receive_blob();
  block(abi::blob_result_pollable(result));
  abi::Option<abi::Handle> out;
  abi::blob_result_get(result, &out);
  abi::blob_result_drop(result);
  return out.has != 0 ? state.blobs.add(out.value) : "none";
}

constexpr Entry kCommands[] = {
    {"send", send},
    {"drop-receive", drop_receive},
    {"receive-now", receive_now},
    {"broadcast", broadcast},
    {"subscribe", subscribe},
    {"sub-ready?", subscription_ready},
    {"sub-get", subscription_get},
    {"sub-wait", subscription_wait},
    {"unsubscribe",
     [](State& state, Words&) {
       return abi::subscription_unsubscribe(state.subscriptions.get()), ok();
     }},
    {"blob", blob},
    {"blob-fill", blob_fill},
    {"blob-size",
     [](State& state, Words&) { return ok(std::to_string(abi::blob_size(state.blobs.get()))); }},
    {"blob-read", blob_read},
    {"blob-sum", blob_sum},
    {"receive-blob", receive_blob},
    {"send-blob",
     [](State& state, Words&) { return abi::message_send_blob(state.blobs.take()), ok(); }},
    {"drop-blob", [](State& state, Words&) { return abi::blob_drop(state.blobs.take()), ok(); }},
};

}  // namespace

std::span<const Entry> message_commands() { return kCommands; }

}  // namespace probe
