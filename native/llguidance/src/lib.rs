//! The C API of llguidance, re-exported, and what it lacks.

// A refused allocation has to unwind instead of ending the process; stable Rust cannot say so yet.
#![feature(alloc_error_hook)]

mod heap;

pub use heap::*;
pub use llguidance::ffi::*;
