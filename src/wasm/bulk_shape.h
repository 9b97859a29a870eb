#pragma once
#include <optional>

#include "wasm/wasmtime_extra.h"

namespace pie::wasm {

/// The shape of a function whose long lists are copied whole (wasmtime_extra.h), if it has one.
std::optional<pie_wasmtime_bulk_shape_t> bulk_shape_of(const wasmtime_component_func_type_t* type);

}  // namespace pie::wasm
