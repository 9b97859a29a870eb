#pragma once
#include <cstdint>
#include <memory>
#include <string_view>

#include "host/instance_state.h"
#include "host/pass_object.h"
#include "model/adapter.h"
#include "wasm/wait.h"

namespace pie::host {

/// What an adapter pointer stands for. Throws wasm::GuestError for one that is not mapped, or where
/// nothing was put yet.
model::AdapterRef adapter_of(std::string_view call, QueueObject& queue, uint32_t pointer);

/// Has the pass computed under its adapter, or its candidate with the pass's seed, once it has
/// both: waits until that one is made.
wasm::Wait<> compute_under(InstanceState& state, std::shared_ptr<PassObject> pass);

}  // namespace pie::host
