// What the canonical ABI and the compiler's runtime library want from every program.
#include "pie/abi.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "pie/inferlet.h"

/// Debian's builtins for wasm32 are compiled with stack protection; they refer to these two.
extern "C" {
uintptr_t __stack_chk_guard = 0x5bd1e995U;
[[noreturn]] void __stack_chk_fail() { __builtin_trap(); }

/// Memory for what the host returns.
__attribute__((export_name("cabi_realloc"))) void* cabi_realloc(void* old, size_t /*old_size*/,
                                                                size_t alignment, size_t size) {
  if (size == 0) return reinterpret_cast<void*>(alignment);
  void* memory = std::realloc(old, size);
  if (memory == nullptr) __builtin_trap();
  return memory;
}
}

namespace {

inferlet::abi::TextResult run_result;
std::string run_error;

}  // namespace

/// inferlet:core/run. What it returns stays valid until the next call.
extern "C" __attribute__((export_name("inferlet:core/run#run"))) inferlet::abi::TextResult*
inferlet_run() {
  inferlet::Result<std::string> outcome = inferlet_main(inferlet::arguments());
  std::fflush(stdout);
  std::fflush(stderr);
  if (outcome) {
    if (!outcome->empty()) inferlet::set_return(*outcome);
    run_result = {};
  } else {
    run_error = std::move(outcome).error();
    run_result = {1, {run_error.data(), static_cast<uint32_t>(run_error.size())}};
  }
  return &run_result;
}
