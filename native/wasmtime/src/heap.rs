//! Counts what each thread allocates, so that the memory of an instance outside its linear memories
//! (tables, contexts of its core instances, copies of values) can be charged to it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static BYTES: Cell<i64> = const { Cell::new(0) };
}

fn count(bytes: i64) {
    BYTES.with(|sum| sum.set(sum.get() + bytes));
}

struct Counting;

// SAFETY: as the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        unsafe { System.dealloc(block, layout) }
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count(bytes as i64 - layout.size() as i64);
        unsafe { System.realloc(block, layout, bytes) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// `int64_t pie_wasmtime_thread_heap_bytes(void);`
///
/// What this thread has allocated here, less what it has freed; below 0 where it frees what others
/// have allocated. Differences count.
#[unsafe(no_mangle)]
pub extern "C" fn pie_wasmtime_thread_heap_bytes() -> i64 {
    BYTES.with(Cell::get)
}
