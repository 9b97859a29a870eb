#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "host/answer.h"
#include "host/define.h"
#include "host/guest_errors.h"
#include "host/instance_state.h"

namespace pie::host {
namespace {

using wasm::Wait;

constexpr const char* kKvs = "inferlet:core/kvs";

void check_key(const InstanceState& state, std::string_view key) {
  check_size("key", key.size(), state.limits.kvs_key_bytes_max);
}

/// What the host keeps of one call until the store has answered, beside the key and value.
constexpr uint64_t kCallBytes = 1024;
/// The keys that one list may have: a host call copies no more.
constexpr uint64_t kListBytesMax = 8ULL << 20;

/// Starts `ask`, which answers by its argument, and waits. Until the answer the instance is
/// charged, however it ends meanwhile.
template <class T, class Ask>
Wait<T> wait_for(InstanceState& state, uint64_t bytes, Ask ask) {
  auto charge = std::make_shared<Charge>(state.memory);
  charge->add(kCallBytes + bytes);
  auto answer = std::make_shared<Answer<T>>();
  ask([answer, charge](Result<T> result) {
    charge->release();
    answer->set(std::move(result));
  });
  return {{answer}, [answer] { return answer->take(); }};
}

Wait<std::optional<std::string>> store_get(InstanceState& state, const std::string& key) {
  check_key(state, key);
  return wait_for<std::optional<std::string>>(
      state, 0, [&](auto done) { state.services.kvs.get(state.user, key, done); });
}

Wait<> store_set(InstanceState& state, std::string key, std::string value) {
  check_key(state, key);
  check_size("value", value.size(), state.limits.kvs_value_bytes_max);
  const uint64_t bytes = key.size() + value.size();
  return wait_for<void>(state, bytes, [&](auto done) {
    state.services.kvs.set(state.user, std::move(key), std::move(value), done);
  });
}

Wait<> store_delete(InstanceState& state, const std::string& key) {
  check_key(state, key);
  return wait_for<void>(state, 0,
                        [&](auto done) { state.services.kvs.remove(state.user, key, done); });
}

Wait<bool> store_exists(InstanceState& state, const std::string& key) {
  check_key(state, key);
  return wait_for<bool>(state, 0,
                        [&](auto done) { state.services.kvs.exists(state.user, key, done); });
}

Wait<std::vector<std::string>> store_list_keys(InstanceState& state) {
  return wait_for<std::vector<std::string>>(state, kListBytesMax, [&](auto done) {
    state.services.kvs.list_keys(state.user, kListBytesMax, done);
  });
}

}  // namespace

void define_kvs(wasm::HostFunctions& functions) {
  functions.add(kKvs, "store-get", store_get);
  functions.add(kKvs, "store-set", store_set);
  functions.add(kKvs, "store-delete", store_delete);
  functions.add(kKvs, "store-exists", store_exists);
  functions.add(kKvs, "store-list-keys", store_list_keys);
}

}  // namespace pie::host
