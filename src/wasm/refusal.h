#pragma once
#include <optional>

#include "wasm/component.h"
#include "wasm/value.h"
#include "wasm/wasmtime_ptr.h"

namespace pie::wasm {

/// The answer of a wasi:* function that we don't serve, if its result type has one that refuses:
/// an error case like "access-denied", none, an empty list, false, or a handle to nothing.
struct Refusal {
  bool answered = false;
  std::optional<Value> value;  ///< empty: the function has no result
};
Refusal refuse(const wasmtime_component_func_type_t* type, const LinkedComponent& component);

}  // namespace pie::wasm
