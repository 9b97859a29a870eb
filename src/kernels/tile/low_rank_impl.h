#pragma once
#include "kernels/tile/small_ops_impl.h"

// The two halves of a low-rank product (low_rank.h).
namespace pie::kernels {
namespace {

/// Rows of A, and vectors of an output, that are summed side by side: enough chains for the units.
constexpr int kLowRankChains = 4;

/// Dot products of `kRows` rows with x: what a row gets does not depend on how many there are.
template <class S, int kRows>
PIE_INLINE void low_rank_dots(const float* a, float factor, uint32_t n, const float* x, float* u) {
  typename S::F sums[kRows];
  each_index<0, kRows>([&](auto row) PIE_INLINE_LAMBDA { sums[row] = S::zero(); });
  each_vector(n, [&](uint32_t i, auto count) PIE_INLINE_LAMBDA {
    const auto values = load_some<S>(x + i, count);
    each_index<0, kRows>([&](auto row) PIE_INLINE_LAMBDA {
      const float* weights = a + static_cast<uint64_t>(row) * n + i;
      sums[row] = S::fma(load_some<S>(weights, count), values, sums[row]);
    });
  });
  each_index<0, kRows>([&](auto row)
                           PIE_INLINE_LAMBDA { u[row] = factor * S::reduce_add(sums[row]); });
}

template <class S>
void low_rank_in_row(const float* a, float factor, uint32_t rank, uint32_t n, const float* x,
                     float* u) {
  uint32_t j = 0;
  for (; j + kLowRankChains <= rank; j += kLowRankChains)
    low_rank_dots<S, kLowRankChains>(a + static_cast<uint64_t>(j) * n, factor, n, x, u + j);
  for (; j < rank; ++j) low_rank_dots<S, 1>(a + static_cast<uint64_t>(j) * n, factor, n, x, u + j);
}

template <class S>
void low_rank_out_row(const float* b, uint32_t rank, uint32_t n, const float* u, float* y) {
  constexpr uint32_t kWidth = 16 * kLowRankChains;
  uint32_t i = 0;
  for (; i + kWidth <= n; i += kWidth) {
    typename S::F sums[kLowRankChains];
    each_index<0, kLowRankChains>([&](auto c) PIE_INLINE_LAMBDA { sums[c] = S::zero(); });
    for (uint32_t j = 0; j < rank; ++j) {
      const auto factor = S::set1(u[j]);
      const float* row = b + static_cast<uint64_t>(j) * n + i;
      each_index<0, kLowRankChains>([&](auto c) PIE_INLINE_LAMBDA {
        sums[c] = S::fma(factor, S::load(row + 16 * c), sums[c]);
      });
    }
    each_index<0, kLowRankChains>([&](auto c)
                                      PIE_INLINE_LAMBDA { S::store(y + i + 16 * c, sums[c]); });
  }
  for (; i < n; i += 16) {
    const int count = n - i < 16 ? static_cast<int>(n - i) : 16;
    auto sum = S::zero();
    for (uint32_t j = 0; j < rank; ++j)
      sum = S::fma(S::set1(u[j]), S::load_n(b + static_cast<uint64_t>(j) * n + i, count), sum);
    S::store_n(y + i, sum, count);
  }
}

}  // namespace
}  // namespace pie::kernels
