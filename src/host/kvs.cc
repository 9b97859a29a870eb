#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "host/answer.h"
#include "host/define.h"
#include "host/guest_errors.h"
#include "host/instance_state.h"
#include "host/values.h"

namespace pie::host {
namespace {

using wasm::Call;
using wasm::Value;
using wasm::Wait;

constexpr const char* kKvs = "inferlet:core/kvs";

std::string key_of(Call& call) {
  std::string key(call.string(0));
  check_size("key", key.size(), state_of(call).limits.kvs_key_bytes_max);
  return key;
}

/// What the host keeps of one call until the store has answered, beside the key and value.
constexpr uint64_t kCallBytes = 1024;
/// The keys that one list may have: a host call copies no more.
constexpr uint64_t kListBytesMax = 8ULL << 20;

/// Starts `ask`, which answers by its argument, and waits; `give` makes the result of the answer.
/// Until the answer the instance is charged, however it ends meanwhile.
template <class T, class Ask, class Give>
Wait wait_for(InstanceState& state, uint64_t bytes, Ask ask, Give give) {
  auto charge = std::make_shared<Charge>(state.memory);
  charge->add(kCallBytes + bytes);
  auto answer = std::make_shared<Answer<T>>();
  ask([answer, charge](Result<T> result) {
    charge->release();
    answer->set(std::move(result));
  });
  return {{answer}, [answer, give](const std::vector<uint32_t>&) { return give(*answer); }};
}

Wait store_get(Call& call) {
  InstanceState& state = state_of(call);
  using Found = std::optional<std::string>;
  return wait_for<Found>(
      state, 0, [&](auto done) { state.services.kvs.get(state.user, key_of(call), done); },
      [](Answer<Found>& answer) {
        Found value = answer.take();
        return value ? Value::some(Value::string(std::move(*value))) : Value::none();
      });
}

Wait store_set(Call& call) {
  InstanceState& state = state_of(call);
  std::string key = key_of(call);
  std::string value(call.string(1));
  check_size("value", value.size(), state.limits.kvs_value_bytes_max);
  const uint64_t bytes = key.size() + value.size();
  return wait_for<void>(
      state, bytes,
      [&](auto done) {
        state.services.kvs.set(state.user, std::move(key), std::move(value), done);
      },
      [](Answer<void>& answer) {
        answer.take();
        return Value::none();
      });
}

Wait store_delete(Call& call) {
  InstanceState& state = state_of(call);
  return wait_for<void>(
      state, 0, [&](auto done) { state.services.kvs.remove(state.user, key_of(call), done); },
      [](Answer<void>& answer) {
        answer.take();
        return Value::none();
      });
}

Wait store_exists(Call& call) {
  InstanceState& state = state_of(call);
  return wait_for<bool>(
      state, 0, [&](auto done) { state.services.kvs.exists(state.user, key_of(call), done); },
      [](Answer<bool>& answer) { return Value::boolean(answer.take()); });
}

Wait store_list_keys(Call& call) {
  InstanceState& state = state_of(call);
  using Keys = std::vector<std::string>;
  return wait_for<Keys>(
      state, kListBytesMax,
      [&](auto done) { state.services.kvs.list_keys(state.user, kListBytesMax, done); },
      [](Answer<Keys>& answer) { return string_list(answer.take()); });
}

}  // namespace

void define_kvs(wasm::Registry& registry) {
  registry.async_function(kKvs, "store-get", store_get);
  registry.async_function(kKvs, "store-set", store_set);
  registry.async_function(kKvs, "store-delete", store_delete);
  registry.async_function(kKvs, "store-exists", store_exists);
  registry.async_function(kKvs, "store-list-keys", store_list_keys);
}

}  // namespace pie::host
