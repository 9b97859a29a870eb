#pragma once
#include "kernels/simd/inline.h"
#include "kernels/tile/activation_panel.h"
#include "kernels/tile/panels.h"

namespace pie::kernels {
namespace {

/// Where one token of a kInt8 batch is written: its parts in the first group, and the way to the
/// next one.
struct TokenSlot {
  std::byte* q;
  std::byte* numbers;  ///< of this token: d, then the others, `apart` bytes from each other
  size_t apart;
  size_t group_bytes;
};

PIE_INLINE TokenSlot token_slot(std::byte* data, uint32_t token_count, uint32_t k, uint32_t token) {
  const uint32_t tile = tile_of(token_count, token);
  const uint32_t first = tile_begin(token_count, tile);
  const size_t tokens = tile_begin(token_count, tile + 1) - first;
  const size_t index = token - first;
  std::byte* base = data + first * activation_token_bytes(ActivationKind::kInt8, k);
  return {base + index * kGroupValues, base + tokens * kGroupValues + index * 4, tokens * 4,
          tokens * kActivationGroupBytes};
}

/// One group: see pack_activations in quantize.h. 127 / largest is finite from 2^-120 on; the
/// largest is compared as bits, so that a NaN is larger than everything.
template <class S>
PIE_INLINE void quantize_group(typename S::F low, typename S::F high, const TokenSlot& slot) {
  constexpr int32_t kLeastBits = 7 << 23;  // 2^-120
  const int32_t bits = S::reduce_max(S::max(S::magnitude_bits(low), S::magnitude_bits(high)));
  const float largest = __builtin_bit_cast(float, bits);
  const bool zero = bits < kLeastBits;
  const float d = zero ? 0.0F : largest * (1.0F / 127.0F);
  const auto inverse = S::set1(zero ? 0.0F : 127.0F / largest);
  alignas(32) int8_t q[kGroupValues];
  S::store_i8(q, S::mul(low, inverse));
  S::store_i8(q + 16, S::mul(high, inverse));
  const int32_t sums[2] = {S::sum_i8(q), S::sum_i8(q + 16)};
  const int32_t sum = sums[0] + sums[1];
  __builtin_memcpy(slot.q, q, sizeof q);
  const float d_sum = d * static_cast<float>(sum);
  const int32_t minus[3] = {-sum, -sums[0], -sums[1]};
  __builtin_memcpy(slot.numbers, &d, 4);
  __builtin_memcpy(slot.numbers + slot.apart, &d_sum, 4);
  for (size_t i = 0; i < 3; ++i) {
    __builtin_memcpy(slot.numbers + (i + 2) * slot.apart, minus + i, 4);
  }
}

template <class S>
PIE_INLINE void quantize_token(const float* x, uint32_t k, TokenSlot slot) {
  for (uint32_t i = 0; i < k; i += kGroupValues) {
    quantize_group<S>(S::load(x + i), S::load(x + i + 16), slot);
    slot.q += slot.group_bytes;
    slot.numbers += slot.group_bytes;
  }
}

/// One token of a kF32 batch, y[i * tokens of the tile].
PIE_INLINE void copy_token(const float* x, std::byte* data, uint32_t token_count, uint32_t k,
                           uint32_t token) {
  const uint32_t tile = tile_of(token_count, token);
  const uint32_t first = tile_begin(token_count, tile);
  const size_t tokens = tile_begin(token_count, tile + 1) - first;
  float* y = reinterpret_cast<float*>(data) + size_t{first} * k + (token - first);
  for (uint32_t i = 0; i < k; ++i, y += tokens) *y = x[i];
}

template <class S>
void pack_tokens(const Activations& out, const float* x, size_t stride, uint32_t begin,
                 uint32_t end) {
  for (uint32_t t = begin; t < end; ++t) {
    const float* row = x + t * stride;
    if (out.kind == ActivationKind::kInt8) {
      quantize_token<S>(row, out.k, token_slot(out.data, out.token_count, out.k, t));
    } else {
      copy_token(row, out.data, out.token_count, out.k, t);
    }
  }
}

}  // namespace
}  // namespace pie::kernels
