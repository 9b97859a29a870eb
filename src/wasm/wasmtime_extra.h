#pragma once
#include <wasmtime.h>

#include <cstddef>

/// Defined in native/wasmtime/src/lib.rs.
extern "C" {

/// How many bytes of lifted values one host call may copy out of a program (default 128 MiB); each
/// element of a list weighs 48.
void pie_wasmtime_context_set_hostcall_fuel(wasmtime_context_t* context, size_t bytes);
}
