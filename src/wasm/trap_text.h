#pragma once
#include <string>

#include "wasm/wasmtime_ptr.h"

namespace pie::wasm {

/// What went wrong in the guest ("wasm trap: integer divide by zero"), without the backtrace.
std::string cause_of(const wasmtime_error_t& error);

/// The guest's call stack, innermost frame first, function names demangled, one line a frame; ""
/// when the error has none.
std::string backtrace_of(const wasmtime_error_t& error);

}  // namespace pie::wasm
