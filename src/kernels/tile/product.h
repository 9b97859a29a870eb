#pragma once
#include "kernels/kernel_set.h"
#include "kernels/simd/math.h"
#include "kernels/tile/tile.h"

// The loops of a product over panels and tiles, and what is done with finished sums.
namespace pie::kernels {
namespace {

/// Activations that stay in a core's second-level cache (512 KiB and more) beside a panel; 64 and
/// 256 KiB were slower with 512.
constexpr size_t kTokenBlockBytes = 128 << 10;
/// How far ahead a product of one tile, which memory bounds, asks for weights.
constexpr size_t kPrefetchDistance = 4096;

/// What is added to the sums of one token, if anything is.
PIE_INLINE const float* own_bias(const Epilogue& epilogue, uint32_t token) {
  if (epilogue.token_bias == nullptr || epilogue.token_bias[token] == nullptr) return nullptr;
  return epilogue.token_bias[token] + epilogue.token_bias_begin;
}

/// 16 sums of rows from `row` on; `count` of them exist.
template <class S>
PIE_INLINE void finish_rows(const Epilogue& epilogue, const float* added, const float* sums,
                            float* y, uint32_t row, int count) {
  typename S::F s = S::load(sums);
  if (epilogue.bias != nullptr) s = S::add(s, S::load_n(epilogue.bias + row, count));
  if (added != nullptr) s = S::add(s, S::load_n(added + row, count));
  if (epilogue.op == Epilogue::Op::kAdd) s = S::add(S::load_n(y + row, count), s);
  S::store_n(y + row, s, count);
}

template <class S>
void finish_tile(const Product& product, uint32_t panel, uint32_t first_token, int tokens,
                 const TileSums& sums) {
  const Epilogue& epilogue = product.epilogue;
  const uint32_t first_row = panel * kHalfRows * (product.gated ? 1 : 2);
  const auto rows_from = [&](uint32_t row) PIE_INLINE_LAMBDA {
    return product.rows <= row               ? 0
           : product.rows - row >= kHalfRows ? kHalfRows
                                             : static_cast<int>(product.rows - row);
  };
  for (int t = 0; t < tokens; ++t) {
    const uint32_t token = first_token + static_cast<uint32_t>(t);
    float* y = epilogue.y + token * epilogue.stride;
    const float* added = own_bias(epilogue, token);
    if (product.gated) {
      const int count = rows_from(first_row);
      auto gate = S::load(sums[t]);
      auto up = S::load(sums[t] + kHalfRows);
      if (added != nullptr) {
        gate = S::add(gate, S::load_n(added + first_row, count));
        up = S::add(up, S::load_n(added + product.rows + first_row, count));
      }
      const auto act = epilogue.op == Epilogue::Op::kSiluMul ? silu<S>(gate) : gelu<S>(gate);
      S::store_n(y + first_row, S::mul(act, up), count);
      continue;
    }
    for (int h = 0; h < kHalves; ++h) {
      const uint32_t row = first_row + static_cast<uint32_t>(h) * kHalfRows;
      if (row >= product.rows) break;
      finish_rows<S>(epilogue, added, sums[t] + h * kHalfRows, y, row, rows_from(row));
    }
  }
}

/// Where tile `index` of a block of `count` tiles finds its share of the next panel.
PIE_INLINE Prefetch share_of_next_panel(const std::byte* next_panel, size_t panel_bytes,
                                        uint32_t steps, uint32_t index, uint32_t count) {
  const size_t lines = (panel_bytes + 63) / 64;
  const size_t share = (lines + count - 1) / count;
  if (index * share >= lines) return {};
  return {next_panel + index * share * 64, static_cast<int>((share + steps - 1) / steps)};
}

/// All tiles of the product's panels. Tokens are cut into blocks whose activations stay in cache
/// while the panels pass by; with one tile, weights are asked for ahead within the stream, with
/// several the tiles share the work of asking for the next panel.
template <class S>
void run_tiles(const Product& product, const TileFunctions& functions, uint32_t values_per_step) {
  const uint32_t tokens = product.token_count;
  const uint32_t tiles = tile_count(tokens);
  const uint32_t steps = product.k / values_per_step;
  const size_t tile_bytes = product.token_bytes * kTileTokens;
  const size_t fitting = kTokenBlockBytes / tile_bytes;
  const uint32_t block = fitting < 1 ? 1 : static_cast<uint32_t>(fitting);
  const int lines_per_step = static_cast<int>(product.panel_bytes / steps / 64);
  TileSums sums;
  for (uint32_t begin = 0; begin < tiles; begin += block) {
    const uint32_t end = tiles - begin < block ? tiles : begin + block;
    for (uint32_t p = product.panel_begin; p < product.panel_end; ++p) {
      const std::byte* panel = product.panels + p * product.panel_bytes;
      for (uint32_t tile = begin; tile < end; ++tile) {
        const uint32_t first = tile_begin(tokens, tile);
        const uint32_t count = tile_begin(tokens, tile + 1) - first;
        Prefetch ahead = {panel + kPrefetchDistance, lines_per_step};
        if (end - begin > 1) {
          ahead = p + 1 < product.panel_end
                      ? share_of_next_panel(panel + product.panel_bytes, product.panel_bytes, steps,
                                            tile - begin, end - begin)
                      : Prefetch{};
        }
        functions.of_tokens[count - 1](
            panel, product.k, product.activations + first * product.token_bytes, ahead, sums);
        finish_tile<S>(product, p, first, static_cast<int>(count), sums);
      }
    }
  }
}

}  // namespace
}  // namespace pie::kernels
