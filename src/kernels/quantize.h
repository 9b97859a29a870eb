#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/format.h"
#include "kernels/isa.h"

namespace pie::kernels {

/// Tokens whose activations are interleaved and multiplied together.
constexpr uint32_t kTileTokens = 6;

/// A batch of activations in the form that products read, made once and used by every product with
/// the same input. Does not own its memory; the layout is in tile/activation_panel.h.
struct Activations {
  ActivationKind kind = ActivationKind::kInt8;
  uint32_t token_count = 0;
  uint32_t k = 0;             ///< values of a token; for kInt8 a multiple of 32
  std::byte* data = nullptr;  ///< activation_bytes(), 64-byte aligned
};

/// Bytes of the activations of `token_count` tokens; grows with each argument.
size_t activation_bytes(ActivationKind kind, size_t token_count, size_t k);

/// Packs tokens [token_begin, token_end) of `x`, f32 [token_count, k], row t at x + t * stride.
/// Calls with disjoint ranges may run at the same time. What is written for a token depends on
/// that token's values alone.
///   kInt8: per group of 32 values scale d = max|x| / 127, q = round(x / d), ties to even.
///          |x - d q| <= max|x| / 253. Groups with max|x| < 2^-120 become zeros. A group with an
///          infinity or a NaN makes every product with the token inf or NaN.
///   kF32:  the values themselves.
void pack_activations(Isa isa, const Activations& out, const float* x, size_t stride,
                      uint32_t token_begin, uint32_t token_end);

}  // namespace pie::kernels
