#pragma once
#include "kernels/kernel_set.h"
#include "kernels/tile/low_rank_impl.h"
#include "kernels/tile/pack_activations.h"
#include "kernels/tile/small_ops_impl.h"

namespace pie::kernels {
namespace {

/// The kernels over a SIMD type, around a product and its dot products.
template <class S>
constexpr KernelSet kernel_set_of(void (*product)(const Product&), uint64_t (*peak)(uint64_t)) {
  return {.product = product,
          .pack_activations = pack_tokens<S>,
          .rms_norm = rms_norm_row<S>,
          .rms_norm_pack = rms_norm_pack_tokens<S>,
          .rope = rope_heads<S>,
          .add = add_rows<S>,
          .scale = scale_row<S>,
          .soft_cap = soft_cap_row<S>,
          .silu_mul = silu_mul_row<S>,
          .gelu_mul = gelu_mul_row<S>,
          .exp = exp_row<S>,
          .low_rank_in = low_rank_in_row<S>,
          .low_rank_out = low_rank_out_row<S>,
          .peak_dot_products = peak};
}

}  // namespace
}  // namespace pie::kernels
