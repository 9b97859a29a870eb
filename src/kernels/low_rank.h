#pragma once
#include <cstdint>

#include "kernels/isa.h"

namespace pie::kernels {

// What a low-rank adapter adds to a projection of one token (Hu et al. 2021): y = B (A x), f32. The
// same bits on every instruction set. Pointers need no alignment; nothing may overlap.

/// u[j] = factor * sum over k of a[j * n + k] * x[k], j < rank: each sum 16 chains of fused
/// multiply-adds (lane i has k = i, i + 16, ...), added as a fixed tree.
/// |error| <= (n / 16 + 6) * 2^-24 * |factor| * sum |a x|.
void low_rank_in(Isa isa, const float* a, float factor, uint32_t rank, uint32_t n, const float* x,
                 float* u);

/// y[i] = sum over j of u[j] * b[j * n + i], i < n: one chain of fused multiply-adds in the order
/// of j, from 0. |error| <= rank * 2^-24 * sum |u b|.
void low_rank_out(Isa isa, const float* b, uint32_t rank, uint32_t n, const float* u, float* y);

}  // namespace pie::kernels
