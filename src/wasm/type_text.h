#pragma once
#include <functional>
#include <string>

#include "wasm/wasmtime_ptr.h"

namespace pie::wasm {

/// The name of the resource that a type stands for.
using ResourceNames = std::function<std::string(const wasmtime_component_resource_type_t*)>;

/// A component's function type in WIT's words, without names of parameters, records and the like,
/// as HostFunction::type has it: "func(handle<interface/name>, list<u32>) -> option<string>".
std::string text_of(const wasmtime_component_func_type_t* type, const ResourceNames& names);

}  // namespace pie::wasm
