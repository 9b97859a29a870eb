#pragma once
#include "kernels/simd/inline.h"
#include "kernels/tile/panels.h"

namespace pie::kernels {
namespace {

/// `rounds` times the sums of a group by S::Dot for nibbles, all operands in registers: the most
/// that a product of 4-bit weights can reach. Returns the multiplications and additions done.
template <class S>
uint64_t run_dot_products(uint64_t rounds) {
  alignas(64) QuadVector weights = {1, 2, 3, 4, 5, 6, 7, 8};
  const int8_t quad[4] = {1, -2, 3, -4};
  __asm__ volatile("" : : "r"(weights) : "memory");  // nothing is known of their values
  const auto w = S::load_quads(weights);
  auto x = S::broadcast(quad);
  for (uint64_t round = 0; round < rounds; ++round) {
    typename S::template Dot<15> dots[S::kPeakDots];
    each_index<0, S::kPeakDots>([&](auto i) PIE_INLINE_LAMBDA { dots[i].begin(nullptr, 0); });
    each_index<0, kGroupQuads>([&](auto q) PIE_INLINE_LAMBDA {
      each_index<0, S::kPeakDots>([&](auto i) PIE_INLINE_LAMBDA {
        S::assume_changed(x);
        dots[i].template add<decltype(q)::value, 0>(w, x);
      });
    });
    each_index<0, S::kPeakDots>([&](auto i)
                                    PIE_INLINE_LAMBDA { S::assume_used(dots[i].sum(nullptr, 0)); });
  }
  return rounds * S::kPeakDots * kGroupQuads * 64 * 2;
}

}  // namespace
}  // namespace pie::kernels
