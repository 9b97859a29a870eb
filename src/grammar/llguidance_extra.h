#pragma once
#include <llguidance.h>

#include <cstdint>

/// Defined in native/llguidance/src.
extern "C" {

/// Once, after the first call of llguidance: its panics say nothing and collect no trace.
void pie_llguidance_prepare(void);

/// What this thread has allocated in llguidance, less what it has freed; differences count.
int64_t pie_llguidance_thread_heap_bytes(void);

/// From here on a call of this thread that allocates more than `bytes`, or anything after `cpu_ns`
/// of the thread's time, ends in an error. Only around calls that catch panics: not
/// llg_clone_matcher, not llg_new_tokenizer_v2.
void pie_llguidance_begin_bounds(uint64_t bytes, uint64_t cpu_ns);
void pie_llguidance_end_bounds(void);
}
