#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/isa.h"
#include "kernels/quantize.h"

namespace pie::kernels {

/// The element-wise and row-wise operations of a transformer layer, f32. Same bits on every
/// instruction set. Pointers need no alignment; inputs and outputs may be the same array but must
/// not overlap otherwise. Error bounds are derived in README.md.

/// y[i] = x[i] / sqrt(mean of squares + epsilon) * weight[i], i < n (Zhang and Sennrich 2019).
/// Relative error <= (n / 32 + 10) * 2^-24.
void rms_norm(Isa isa, const float* x, const float* weight, float epsilon, uint32_t n, float* y);

/// rms_norm of tokens [token_begin, token_end) of x (row t at x + t * stride, out.k values), packed
/// as pack_activations would pack the result.
void rms_norm_pack(Isa isa, const Activations& out, const float* x, size_t stride,
                   const float* weight, float epsilon, uint32_t token_begin, uint32_t token_end);

/// How rotary position embedding (Su et al. 2021) pairs the values of a head.
enum class RopePairing : uint8_t {
  kAdjacent,  ///< (2i, 2i+1): the llama family in GGUF files
  kHalves,    ///< (i, i + rotated/2): NeoX, Qwen, Gemma
};

struct RopeShape {
  RopePairing pairing = RopePairing::kAdjacent;
  uint32_t head_count = 0;
  uint32_t head_size = 0;
  uint32_t rotated = 0;  ///< leading values of a head that turn; even, <= head_size
};

/// Turns the heads of one token in place: x is f32 [head_count, head_size]; pair i turns by the
/// angle whose cosine and sine are cosines[i], sines[i], f32 [rotated / 2].
///   (a, b) -> (fma(a, cos, -(b sin)), fma(b, cos, a sin))
void rope(Isa isa, const RopeShape& shape, const float* cosines, const float* sines, float* x);

/// y[i] += x[i].
void add(Isa isa, const float* x, uint32_t n, float* y);

/// y[i] = x[i] * factor.
void scale(Isa isa, const float* x, float factor, uint32_t n, float* y);

/// y[i] = cap * tanh(x[i] / cap), cap > 0: the soft cap of logits. Error <= 2^-21 * |y|.
void soft_cap(Isa isa, const float* x, float cap, uint32_t n, float* y);

/// y[i] = silu(gate[i]) * up[i], silu(a) = a / (1 + exp(-a)). Relative error <= 2^-20.
void silu_mul(Isa isa, const float* gate, const float* up, uint32_t n, float* y);

/// y[i] = gelu(gate[i]) * up[i], gelu(a) = a / (1 + exp(-2u)), u = sqrt(2/pi) (a + 0.044715 a^3):
/// the tanh formula. Relative error <= (1 + |u|) * 2^-20.
void gelu_mul(Isa isa, const float* gate, const float* up, uint32_t n, float* y);

/// y[i] = exp(x[i]): relative error <= 2^-22 for -87.33 <= x <= 88.37; 0 below, and above as if x
/// were 88.37; NaN stays NaN.
void exp(Isa isa, const float* x, uint32_t n, float* y);

}  // namespace pie::kernels
