#pragma once
#include "wasm/component.h"
#include "wasm/value_writer.h"
#include "wasm/wasmtime_ptr.h"

namespace pie::wasm {

/// Writes the answer of a wasi:* function that we don't serve, if its result type has one that
/// refuses: an error case like "access-denied", none, an empty list, false, or a handle to nothing.
/// False when there is none. A function without a result needs nothing.
bool refuse(const wasmtime_component_func_type_t* type, const LinkedComponent& component,
            ValueWriter result);

}  // namespace pie::wasm
