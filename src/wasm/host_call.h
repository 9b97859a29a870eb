#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "wasm/call.h"
#include "wasm/component.h"
#include "wasm/handle_table.h"
#include "wasm/registry.h"
#include "wasm/runtime.h"
#include "wasm/wasmtime_ptr.h"

namespace pie::wasm {

/// A handle among the arguments of the call that is being made.
struct HandleArgument {
  size_t argument;
  std::shared_ptr<Object> object;
};

/// What host functions need of the instance that calls them: the data of its store. Used by the
/// thread that runs the instance, except `event_fired`.
struct InstanceState {
  explicit InstanceState(uint32_t handles_max) : handles(handles_max) {}
  virtual ~InstanceState() = default;
  InstanceState(const InstanceState&) = delete;
  InstanceState& operator=(const InstanceState&) = delete;

  /// A function to be called, from any thread, when an event of the instance's wait fires.
  virtual std::function<void()> waker() = 0;

  std::shared_ptr<const LinkedComponent> component;
  std::array<std::unique_ptr<InstanceContext>, kContextCount> contexts;
  HandleTable handles;
  /// Set by the host function that ends the instance; the call then fails.
  std::optional<Outcome> verdict;
  /// A waiter ran since the wait's waiters were registered.
  std::atomic<bool> event_fired{false};
  /// Handles among the arguments of the current call; kept between calls for its storage.
  std::vector<HandleArgument> handle_arguments;
};

/// Entry points given to wasmtime; `data` is the Import, the store's data the InstanceState. They
/// catch every exception, name the function in front of its text, and settle every handle among
/// the arguments, used or not (wasmtime traps a call that leaves a borrow behind).
wasmtime_error_t* call_sync_import(void* data, wasmtime_context_t* context,
                                   const wasmtime_component_func_type_t* type,
                                   wasmtime_component_val_t* arguments, size_t argument_count,
                                   wasmtime_component_val_t* results, size_t result_count);
void call_async_import(void* data, wasmtime_context_t* context,
                       const wasmtime_component_func_type_t* type,
                       wasmtime_component_val_t* arguments, size_t argument_count,
                       wasmtime_component_val_t* results, size_t result_count,
                       wasmtime_error_t** error, wasmtime_async_continuation_t* continuation);
/// An import of one of wasmtime_extra.h's shapes.
wasmtime_error_t* call_bulk_import(void* data, wasmtime_context_t* context,
                                   wasmtime_component_val_t* arguments, size_t argument_count,
                                   wasmtime_component_val_t* results, size_t result_count);
void call_bulk_async_import(void* data, wasmtime_context_t* context,
                            wasmtime_component_val_t* arguments, size_t argument_count,
                            wasmtime_component_val_t* results, size_t result_count,
                            wasmtime_error_t** error, wasmtime_async_continuation_t* continuation);
/// The guest dropped an owned handle.
wasmtime_error_t* drop_object(void* data, wasmtime_context_t* context, uint32_t number);

}  // namespace pie::wasm
