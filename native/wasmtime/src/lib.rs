//! The C API of wasmtime, re-exported, and the setters that it lacks.

pub use wasmtime_c_api::*;

/// `void pie_wasmtime_context_set_hostcall_fuel(wasmtime_context_t *context, size_t bytes);`
///
/// How many bytes of lifted values one host call may copy out of a program: each element of a list
/// counts with the size of wasmtime's dynamic value. The default is 128 MiB.
#[unsafe(no_mangle)]
pub extern "C" fn pie_wasmtime_context_set_hostcall_fuel(
    mut context: WasmtimeStoreContextMut<'_>,
    bytes: usize,
) {
    context.set_hostcall_fuel(bytes);
}
