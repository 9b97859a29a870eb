// What the canonical ABI and the compiler's runtime library want from every program.
#include "pie/abi.h"

#include <cstdint>
#include <cstdlib>

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
