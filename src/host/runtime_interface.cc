#include <fmt/format.h>

#include <algorithm>

#include "host/define.h"
#include "host/guest_errors.h"
#include "host/instance_state.h"
#include "host/objects.h"
#include "host/values.h"

namespace pie::host {
namespace {

using wasm::Call;
using wasm::Value;

constexpr const char* kRuntime = "inferlet:core/runtime";

void set_return(Call& call) {
  InstanceState& state = state_of(call);
  std::string_view text = call.string(0);
  check_size("set-return", text.size(), state.limits.message_bytes_max);
  Charge charge(state.memory);
  charge.add(text.size());
  state.return_value = text;
  state.return_charge = std::move(charge);
}

void get_model(Call& call) {
  const ModelService* service = state_of(call).services.find_model(call.string(0));
  call.ret(service == nullptr ? Value::none()
                              : Value::some(Value::handle(
                                    kModelResource, std::make_shared<ModelObject>(*service))));
}

/// The ids of the models that have all of these traits.
Value model_ids(const Services& services, const std::vector<std::string>& traits) {
  std::vector<Value> ids;
  for (const auto& service : services.models) {
    const auto& has = service->info().traits;
    bool all = std::all_of(traits.begin(), traits.end(), [&](const std::string& trait) {
      return std::find(has.begin(), has.end(), trait) != has.end();
    });
    if (all) ids.push_back(Value::string(service->info().id));
  }
  return Value::list(std::move(ids));
}

void debug_query(Call& call) {
  InstanceState& state = state_of(call);
  check_size("debug-query", call.string(0).size(), state.limits.text_bytes_max);
  std::string text = fmt::format("query: {}\nversion: {}\ninstance: {}\n", call.string(0),
                                 state.services.version, state.public_id);
  for (const auto& service : state.services.models)
    text += fmt::format("model: {}, kv pages used: {}\n", service->info().id,
                        service->engine().kv_pages_used(state.id));
  call.ret(debug_query_value(std::move(text), state.memory));
}

}  // namespace

void define_runtime(wasm::Registry& registry) {
  registry.function(kRuntime, "get-version",
                    [](Call& call) { call.ret(Value::string(state_of(call).services.version)); });
  registry.function(kRuntime, "get-instance-id",
                    [](Call& call) { call.ret(Value::string(state_of(call).public_id)); });
  registry.function(kRuntime, "get-arguments",
                    [](Call& call) { call.ret(string_list(state_of(call).arguments)); });
  registry.function(kRuntime, "set-return", set_return);
  registry.function(kRuntime, "get-model", get_model);
  registry.function(kRuntime, "get-all-models",
                    [](Call& call) { call.ret(model_ids(state_of(call).services, {})); });
  registry.function(kRuntime, "get-all-models-with-traits", [](Call& call) {
    const std::vector<std::string> traits = call.strings(0);
    uint64_t bytes = 0;
    for (const std::string& trait : traits) bytes += kListItemBytes + trait.size();
    check_size("traits", bytes, state_of(call).limits.text_bytes_max);
    call.ret(model_ids(state_of(call).services, traits));
  });
  registry.function(kRuntime, "debug-query", debug_query);
}

}  // namespace pie::host
