//! The C API of wasmtime, re-exported, and what it lacks.

#![allow(non_camel_case_types)] // as C names them

mod bulk;
mod heap;
mod limits;

pub use bulk::*;
pub use heap::*;
pub use limits::*;
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

/// What an instance of a component takes besides the bytes in its memories.
#[repr(C)]
pub struct pie_wasmtime_needs_t {
    pub memories: u32,
    pub tables: u32,
    /// Of the largest table.
    pub table_elements: u64,
}

/// `bool pie_wasmtime_component_needs(const wasmtime_component_t *, pie_wasmtime_needs_t *out);`
///
/// False when it can't be told, which is so for components that import core modules.
#[unsafe(no_mangle)]
pub extern "C" fn pie_wasmtime_component_needs(
    component: &wasmtime_component_t,
    out: &mut pie_wasmtime_needs_t,
) -> bool {
    // SAFETY: wasmtime_component_t is #[repr(transparent)] over Component.
    let component = unsafe {
        &*(component as *const wasmtime_component_t).cast::<wasmtime_c_api::wasmtime::component::Component>()
    };
    let Some(needs) = component.resources_required() else {
        return false;
    };
    *out = pie_wasmtime_needs_t {
        memories: needs.num_memories,
        tables: needs.num_tables,
        table_elements: needs.max_initial_table_size.unwrap_or(0) as u64,
    };
    true
}
