#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "host/instance_state.h"
#include "host/pass_object.h"
#include "model/adapter.h"
#include "wasm/wait.h"

namespace pie::host {

/// What an adapter pointer stands for; kInvalidArgument for one that is not mapped, or where
/// nothing was put yet.
Result<model::AdapterRef> find_adapter(std::string_view call, QueueObject& queue, uint32_t pointer);
/// The same; a mistake throws wasm::GuestError.
model::AdapterRef adapter_of(std::string_view call, QueueObject& queue, uint32_t pointer);

/// An adapter, once the events are ready; none: at once.
struct ComingAdapter {
  std::vector<wasm::ReadinessRef> events;
  std::function<model::AdapterRef()> take;  ///< once; throws what ends the instance
};
/// With a seed, the candidate of an adapter that evolves; kInvalidArgument names `call` when it
/// does not. Throws wasm::LimitError.
Result<ComingAdapter> coming_adapter(std::string_view call, InstanceState& state,
                                     const model::AdapterRef& mean, std::optional<int64_t> seed);

/// Has the pass computed under its adapter, or its candidate with the pass's seed, once it has
/// both: waits until that one is made.
wasm::Wait<> compute_under(InstanceState& state, std::shared_ptr<PassObject> pass);

}  // namespace pie::host
