#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/isa.h"
#include "kernels/packed_matrix.h"
#include "kernels/quantize.h"

namespace pie::kernels {

/// What happens with a finished sum s of row r and token t; y is f32, element (t, r) at
/// y[t * stride + r].
struct Epilogue {
  enum class Op : uint8_t {
    kStore,    ///< y = s
    kAdd,      ///< y = y + s: the residual stream
    kSiluMul,  ///< y = silu(s_gate) * s_up; gated matrices only
    kGeluMul,  ///< y = gelu(s_gate) * s_up, gelu by its tanh formula; gated matrices only
  };
  Op op = Op::kStore;
  float* y = nullptr;
  size_t stride = 0;
  const float* bias = nullptr;  ///< f32 [rows], added to s first; null: none. Not with gated ones.
  /// Of each token: f32, added to s after the bias, those of the matrix from `token_bias_begin` on;
  /// gated ones have all rows of gate, then all of up. A null pointer adds nothing; null: none.
  const float* const* token_bias = nullptr;
  uint32_t token_bias_begin = 0;
};

/// The rows of panels [panel_begin, panel_end) of weights * activations, for every token:
///   s[t][r] = sum over k of w[r][k] * x[t][k]
/// with x as the activations hold it. Threads share a product by disjoint panel ranges.
///
/// An element's bits depend on its row, its token and the epilogue's inputs: not on the other
/// tokens, their number, the panel range or the instruction set. For quantised weights the integer
/// sums are exact and the f32 part is one chain over the groups, so that against the exact product
/// of the same int8 activations |error| <= matmul_error_factor(format, k) * sum over groups of
/// |terms| (README.md, "Error of a product").
///
/// Requires the activations' kind and k to be those of the weights.
void matmul(Isa isa, const PackedMatrix& weights, const Activations& activations,
            uint32_t panel_begin, uint32_t panel_end, const Epilogue& epilogue);

/// The factor of the bound above: (roundings on the longest path) * 2^-24, first order and rounded
/// up. A term is what one group of 32 (Q6_K: 16) adds, d x^ * sum, or m * sum x^ (F formats: one
/// product).
double matmul_error_factor(Format format, uint32_t k);

}  // namespace pie::kernels
