#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/quantize.h"

// Layout of packed activations. The tokens of a batch are cut into tiles of at most kTileTokens, as
// equal as possible; a tile is one stream over k, so that a product walks one pointer with constant
// offsets. For kInt8 a tile of T tokens holds per group of 32 values
//   int8 q[T][32]; float d[T]; float d_sum[T]; int32 minus_sum[T]; int32 minus_sum_16[2][T]
// with sum = sum of q (of 16 of them: the first and the second half), d_sum = d * sum, which are
// what weights with a minimum or an offset multiply; for kF32 per value of k
//   float x[T].
namespace pie::kernels {

constexpr size_t kActivationGroupBytes = 32 + 5 * 4;

/// Tiles of a batch.
constexpr uint32_t tile_count(uint32_t tokens) { return (tokens + kTileTokens - 1) / kTileTokens; }

/// First token of tile `tile`; the batch's count for tile == tile_count.
constexpr uint32_t tile_begin(uint32_t tokens, uint32_t tile) {
  const uint32_t count = tile_count(tokens);
  if (count == 0) return 0;
  const uint32_t base = tokens / count;
  const uint32_t longer = tokens % count;  // the first `longer` tiles have one more
  return tile * base + (tile < longer ? tile : longer);
}

/// The tile that holds token `token`.
constexpr uint32_t tile_of(uint32_t tokens, uint32_t token) {
  const uint32_t count = tile_count(tokens);
  const uint32_t base = tokens / count;
  const uint32_t longer = tokens % count;
  const uint32_t in_longer = longer * (base + 1);
  return token < in_longer ? token / (base + 1) : longer + (token - in_longer) / base;
}

/// Bytes of one token for all k.
constexpr size_t activation_token_bytes(ActivationKind kind, size_t k) {
  return kind == ActivationKind::kInt8 ? k / 32 * kActivationGroupBytes : k * 4;
}

}  // namespace pie::kernels
