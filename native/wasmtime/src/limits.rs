//! A store's limits with a say over each growth: the C API's limiter only has fixed bounds, and does
//! not tell when one was met.

use std::ffi::c_void;
use wasmtime_c_api::wasmtime::{Error, ResourceLimiter, Result};
use wasmtime_c_api::*;

/// How many things a store may have, and how long a table may be.
#[repr(C)]
pub struct pie_wasmtime_limits_t {
    pub instances: u32,
    pub memories: u32,
    pub tables: u32,
    pub table_elements: u64,
}

/// Who is asked for memory. `take` is called before a memory is made with `bytes`, or grows by them;
/// false refuses. `failed` says that the machine did not have what `take` has granted last.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pie_wasmtime_memory_owner_t {
    pub data: *mut c_void,
    pub take: extern "C" fn(data: *mut c_void, bytes: u64) -> bool,
    pub failed: extern "C" fn(data: *mut c_void, bytes: u64),
}
unsafe impl Send for pie_wasmtime_memory_owner_t {}
unsafe impl Sync for pie_wasmtime_memory_owner_t {}

struct Limiter {
    limits: pie_wasmtime_limits_t,
    owner: pie_wasmtime_memory_owner_t,
    /// By the last growth; 0 when it was not granted, or known to fail.
    granted_bytes: u64,
}

/// The index space of a 32-bit memory.
const MEMORY_BYTES_MAX: usize = 1 << 32;

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool> {
        self.granted_bytes = 0;
        if desired > maximum.unwrap_or(MEMORY_BYTES_MAX).min(MEMORY_BYTES_MAX) {
            return Ok(true); // fails by itself: nobody's limit
        }
        let bytes = (desired - current) as u64;
        if !(self.owner.take)(self.owner.data, bytes) {
            return Ok(false);
        }
        self.granted_bytes = bytes;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _: Error) -> Result<()> {
        if self.granted_bytes > 0 {
            (self.owner.failed)(self.owner.data, std::mem::take(&mut self.granted_bytes));
        }
        Ok(())
    }

    fn table_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        let most = usize::try_from(self.limits.table_elements).unwrap_or(usize::MAX);
        Ok(desired <= maximum.unwrap_or(most).min(most))
    }

    fn instances(&self) -> usize {
        self.limits.instances as usize
    }
    fn tables(&self) -> usize {
        self.limits.tables as usize
    }
    fn memories(&self) -> usize {
        self.limits.memories as usize
    }
}

/// Sets the limits of a store and whom its memories belong to.
///
/// # Safety
/// `owner.data` outlives the store and may be used by whatever thread runs it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pie_wasmtime_store_limits(
    store: &mut wasmtime_store_t,
    limits: pie_wasmtime_limits_t,
    owner: pie_wasmtime_memory_owner_t,
) {
    // SAFETY: wasmtime_store_t is #[repr(C)] with the store as its only field.
    let store = unsafe { &mut *(store as *mut wasmtime_store_t).cast::<WasmtimeStore>() };
    struct Shared(*mut Limiter);
    unsafe impl Send for Shared {}
    unsafe impl Sync for Shared {}
    impl Drop for Shared {
        fn drop(&mut self) {
            // SAFETY: made by Box::into_raw, freed once, when the store drops its closure.
            drop(unsafe { Box::from_raw(self.0) });
        }
    }
    let limiter = Shared(Box::into_raw(Box::new(Limiter { limits, owner, granted_bytes: 0 })));
    store.limiter(move |_| {
        let limiter = &limiter; // the whole of it moves into the closure
        // SAFETY: the closure lives as long as the store, whose one thread calls it.
        unsafe { &mut *limiter.0 }
    });
}

/// `void pie_wasmtime_config_memories(wasm_config_t *config, uint64_t sparse_image_bytes_max);`
///
/// Memory images, without a guard before each memory: an image that is no more than half data is
/// made up to `sparse_image_bytes_max` only, else the data is copied at each instantiation.
#[unsafe(no_mangle)]
pub extern "C" fn pie_wasmtime_config_memories(
    config: &mut wasm_config_t,
    sparse_image_bytes_max: u64,
) {
    // SAFETY: wasm_config_t is #[repr(C)] with the configuration as its only field.
    let config = unsafe {
        &mut *(config as *mut wasm_config_t).cast::<wasmtime_c_api::wasmtime::Config>()
    };
    config
        .memory_init_cow(true)
        .memory_guaranteed_dense_image_size(sparse_image_bytes_max)
        .guard_before_linear_memory(false);
}
