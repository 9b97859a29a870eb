#include <fmt/format.h>

#include <algorithm>

#include "host/define.h"
#include "host/guest_errors.h"
#include "host/instance_state.h"
#include "host/objects.h"

namespace pie::host {
namespace {

constexpr const char* kRuntime = "inferlet:core/runtime";

void set_return(InstanceState& state, std::string_view text) {
  check_size("set-return", text.size(), state.limits.message_bytes_max);
  Charge charge(state.memory);
  charge.add(text.size());
  state.return_value = text;
  state.return_charge = std::move(charge);
}

std::optional<std::shared_ptr<ModelObject>> get_model(InstanceState& state, std::string_view name) {
  const ModelService* service = state.services.find_model(name);
  if (service == nullptr) return std::nullopt;
  return std::make_shared<ModelObject>(*service, std::string(name));
}

/// The ids of the models that have all of these traits.
std::vector<std::string> model_ids(const Services& services,
                                   const std::vector<std::string>& traits) {
  std::vector<std::string> ids;
  for (const auto& service : services.models) {
    const auto& has = service->info().traits;
    bool all = std::all_of(traits.begin(), traits.end(), [&](const std::string& trait) {
      return std::find(has.begin(), has.end(), trait) != has.end();
    });
    if (all) ids.push_back(service->info().id);
  }
  return ids;
}

std::vector<std::string> get_all_models(InstanceState& state) {
  return model_ids(state.services, {});
}

std::vector<std::string> get_all_models_with_traits(InstanceState& state,
                                                    const std::vector<std::string>& traits) {
  uint64_t bytes = 0;
  for (const std::string& trait : traits) bytes += kListItemBytes + trait.size();
  check_size("traits", bytes, state.limits.text_bytes_max);
  return model_ids(state.services, traits);
}

std::shared_ptr<DebugQueryObject> debug_query(InstanceState& state, std::string_view query) {
  check_size("debug-query", query.size(), state.limits.text_bytes_max);
  std::string text = fmt::format("query: {}\nversion: {}\ninstance: {}\n", query,
                                 state.services.version, state.public_id);
  for (const auto& service : state.services.models)
    text += fmt::format("model: {}, kv pages used: {}\n", service->info().id,
                        service->engine().kv_pages_used(state.id));
  return std::make_shared<DebugQueryObject>(std::move(text), state.memory);
}

}  // namespace

void define_runtime(wasm::HostFunctions& functions) {
  functions.add(kRuntime, "get-version",
                [](InstanceState& state) { return state.services.version; });
  functions.add(kRuntime, "get-instance-id", [](InstanceState& state) { return state.public_id; });
  functions.add(
      kRuntime, "get-arguments",
      [](InstanceState& state) -> const std::vector<std::string>& { return state.arguments; });
  functions.add(kRuntime, "set-return", set_return);
  functions.add(kRuntime, "get-model", get_model);
  functions.add(kRuntime, "get-all-models", get_all_models);
  functions.add(kRuntime, "get-all-models-with-traits", get_all_models_with_traits);
  functions.add(kRuntime, "debug-query", debug_query);
}

}  // namespace pie::host
