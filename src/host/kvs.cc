#include <string>

#include "host/define.h"
#include "host/guest_errors.h"
#include "host/instance_state.h"
#include "host/values.h"

namespace pie::host {
namespace {

using wasm::Call;
using wasm::Value;

constexpr const char* kKvs = "inferlet:core/kvs";

std::string key_of(Call& call) {
  std::string key(call.string(0));
  check_size("key", key.size(), state_of(call).limits.kvs_key_bytes_max);
  return key;
}

void store_get(Call& call) {
  InstanceState& state = state_of(call);
  auto value = value_or_throw(state.services.kvs.get(state.user, key_of(call)));
  call.ret(value ? Value::some(Value::string(std::move(*value))) : Value::none());
}

void store_set(Call& call) {
  InstanceState& state = state_of(call);
  std::string key = key_of(call);
  std::string value(call.string(1));
  check_size("value", value.size(), state.limits.kvs_value_bytes_max);
  value_or_throw(state.services.kvs.set(state.user, key, value));
}

void store_delete(Call& call) {
  InstanceState& state = state_of(call);
  auto removed = state.services.kvs.remove(state.user, key_of(call));
  if (!removed.ok() && removed.error().code != ErrorCode::kNotFound) throw_error(removed.error());
}

void store_exists(Call& call) {
  InstanceState& state = state_of(call);
  call.ret(Value::boolean(value_or_throw(state.services.kvs.exists(state.user, key_of(call)))));
}

void store_list_keys(Call& call) {
  InstanceState& state = state_of(call);
  call.ret(string_list(value_or_throw(state.services.kvs.list_keys(state.user))));
}

}  // namespace

void define_kvs(wasm::Registry& registry) {
  registry.function(kKvs, "store-get", store_get);
  registry.function(kKvs, "store-set", store_set);
  registry.function(kKvs, "store-delete", store_delete);
  registry.function(kKvs, "store-exists", store_exists);
  registry.function(kKvs, "store-list-keys", store_list_keys);
}

}  // namespace pie::host
