#pragma once

// What is compiled for an instruction set must never be the copy that another file's code calls: a
// linker keeps one of equal inline functions. So the SIMD layer and the kernels are in unnamed
// namespaces, use no function template of the standard library, and everything is inlined.
#define PIE_INLINE [[gnu::always_inline]] inline
#define PIE_INLINE_LAMBDA __attribute__((always_inline))

namespace pie::kernels {
namespace {

/// A number as a type, for loops that are unrolled by each_index.
template <int kNumber>
struct Index {
  static constexpr int value = kNumber;
  constexpr operator int() const { return kNumber; }  // NOLINT: the number itself
};

template <int kBegin, int kEnd, class Function>
PIE_INLINE void each_index(const Function& f) {
  if constexpr (kBegin < kEnd) {
    f(Index<kBegin>());
    each_index<kBegin + 1, kEnd>(f);
  }
}

}  // namespace
}  // namespace pie::kernels
