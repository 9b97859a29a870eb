//! Counts what each thread allocates, so that the memory of a grammar and of its matchers can be
//! charged to who has them, and bounds what one call may allocate and how long it may take: a short
//! text can ask for more than a machine has.

use std::alloc::{GlobalAlloc, Layout, System, set_alloc_error_hook};
use std::cell::Cell;

/// What the calls of a thread may still take.
#[derive(Clone, Copy)]
struct Bounds {
    /// Of `BYTES`.
    bytes_end: i64,
    /// Of the thread's clock, in nanoseconds.
    cpu_end: u64,
    /// Allocations until the clock is looked at again.
    countdown: u32,
}

const UNBOUNDED: Bounds = Bounds { bytes_end: i64::MAX, cpu_end: u64::MAX, countdown: 0 };
/// Some microseconds of work.
const ALLOCATIONS_A_LOOK: u32 = 128;
/// To fill so much takes as long as a look at the clock and more.
const LOOK_BYTES: usize = 16 << 10;

thread_local! {
    static BYTES: Cell<i64> = const { Cell::new(0) };
    static BOUNDS: Cell<Bounds> = const { Cell::new(UNBOUNDED) };
}

unsafe extern "C" {
    fn clock_gettime(clock: i32, time: *mut [i64; 2]) -> i32;
}

fn thread_cpu_ns() -> u64 {
    const CLOCK_THREAD_CPUTIME_ID: i32 = 3;
    let mut time = [0; 2];
    unsafe { clock_gettime(CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time[0] as u64 * 1_000_000_000 + time[1] as u64
}

fn count(bytes: i64) {
    BYTES.with(|sum| sum.set(sum.get() + bytes));
}

/// Whether `bytes` more are within the bounds.
fn is_allowed(bytes: usize) -> bool {
    let mut bounds = BOUNDS.get();
    if bounds.bytes_end == i64::MAX {
        return true;
    }
    if (bytes as i64).saturating_add(BYTES.get()) > bounds.bytes_end {
        return false;
    }
    if bounds.countdown > 0 && bytes < LOOK_BYTES {
        bounds.countdown -= 1;
        BOUNDS.set(bounds);
        return true;
    }
    bounds.countdown = ALLOCATIONS_A_LOOK;
    BOUNDS.set(bounds);
    thread_cpu_ns() < bounds.cpu_end
}

/// Within bounds, or null.
unsafe fn bounded(bytes: usize, more: usize, allocate: impl FnOnce() -> *mut u8) -> *mut u8 {
    if !is_allowed(more) {
        return std::ptr::null_mut();
    }
    count(bytes as i64);
    allocate()
}

struct Counting;

// SAFETY: as the system's allocator; counting allocates nothing and does not unwind.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe { bounded(layout.size(), layout.size(), || System.alloc(layout)) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        unsafe { bounded(layout.size(), layout.size(), || System.alloc_zeroed(layout)) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        unsafe { System.dealloc(block, layout) }
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        let more = bytes.saturating_sub(layout.size());
        if !is_allowed(more) {
            return std::ptr::null_mut();
        }
        count(bytes as i64 - layout.size() as i64);
        unsafe { System.realloc(block, layout, bytes) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A refused allocation unwinds: the C API catches panics, and its object is then in error.
fn refuse(_: Layout) {
    let bounds = BOUNDS.replace(UNBOUNDED); // what panics may allocate
    if thread_cpu_ns() >= bounds.cpu_end {
        panic!("it takes too long");
    }
    panic!("it takes too much memory");
}

/// Errors collect a trace where RUST_BACKTRACE is set: that takes long, and what it calls must not
/// unwind. Whether they do is decided once, so it is here, before there are threads.
extern "C" fn without_traces() {
    const SETTING: &str = "RUST_LIB_BACKTRACE";
    let was = std::env::var_os(SETTING);
    unsafe { std::env::set_var(SETTING, "0") };
    drop(std::backtrace::Backtrace::capture());
    match was {
        Some(value) => unsafe { std::env::set_var(SETTING, value) },
        None => unsafe { std::env::remove_var(SETTING) },
    }
}
#[used]
#[unsafe(link_section = ".init_array")]
static WITHOUT_TRACES: extern "C" fn() = without_traces;

/// `void pie_llguidance_prepare(void);`
///
/// Once, after the first call of llguidance, which installs a panic hook of its own: panics write
/// nothing to stderr and collect no trace, and what unwinds may allocate.
#[unsafe(no_mangle)]
pub extern "C" fn pie_llguidance_prepare() {
    std::panic::set_hook(Box::new(|_| BOUNDS.set(UNBOUNDED)));
    set_alloc_error_hook(refuse);
}

/// `int64_t pie_llguidance_thread_heap_bytes(void);`
///
/// What this thread has allocated here, less what it has freed; below 0 where it frees what others
/// have allocated. Differences count.
#[unsafe(no_mangle)]
pub extern "C" fn pie_llguidance_thread_heap_bytes() -> i64 {
    BYTES.get()
}

/// `void pie_llguidance_begin_bounds(uint64_t bytes, uint64_t cpu_ns);`
///
/// From here on this thread allocates at most `bytes` more, and nothing after so much of its
/// processor time: a call that wants more ends in an error. Only around calls that catch panics:
/// cloning and making a tokenizer are none.
#[unsafe(no_mangle)]
pub extern "C" fn pie_llguidance_begin_bounds(bytes: u64, cpu_ns: u64) {
    BOUNDS.set(Bounds {
        bytes_end: BYTES.get().saturating_add(i64::try_from(bytes).unwrap_or(i64::MAX - 1)),
        cpu_end: thread_cpu_ns().saturating_add(cpu_ns),
        countdown: ALLOCATIONS_A_LOOK,
    });
}

/// `void pie_llguidance_end_bounds(void);`
#[unsafe(no_mangle)]
pub extern "C" fn pie_llguidance_end_bounds() {
    BOUNDS.set(UNBOUNDED);
}
