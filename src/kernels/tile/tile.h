#pragma once
#include "kernels/simd/inline.h"
#include "kernels/tile/activation_panel.h"
#include "kernels/tile/formats.h"

// One tile of a product: a panel of 32 rows times up to kTileTokens tokens, for all of k.
namespace pie::kernels {
namespace {

/// Lines to ask for while a tile computes: `lines` of 64 bytes with each block of the stream.
struct Prefetch {
  const std::byte* next = nullptr;
  int lines = 0;
};

template <class S>
PIE_INLINE void prefetch_some(Prefetch& ahead) {
  for (int i = 0; i < ahead.lines; ++i, ahead.next += 64) S::prefetch(ahead.next);
}

/// What a tile computes; row 16 * h + i of the panel and token t is sums[t][16 * h + i].
using TileSums = float[kTileTokens][2 * kHalfRows];

/// One group's activations of a tile of kTokens tokens.
template <int kTokens>
struct GroupActivations {
  const std::byte* data;
  PIE_INLINE const int8_t* q(int token) const {
    return reinterpret_cast<const int8_t*>(data) + token * 32;
  }
  PIE_INLINE const float* d() const { return reinterpret_cast<const float*>(data + kTokens * 32); }
  PIE_INLINE const float* d_sum() const { return d() + kTokens; }
  PIE_INLINE const int32_t* minus_sum() const {
    return reinterpret_cast<const int32_t*>(data + kTokens * 40);
  }
  PIE_INLINE const int32_t* minus_sum_16(int part) const {
    return minus_sum() + (part + 1) * kTokens;
  }
};

/// Adds one group of kHalves_ halves, beginning with first_half, to f: for each scale of the group
///   f = fma(float(exact integer sum) * d_x, scale, f), then f = fma(minimum, d_sum_x, f).
template <class S, class Reader, int kTokens, int kHalves_, class Group>
PIE_INLINE void add_group(const Group& group, const BlockScales<S>* scales,
                          GroupActivations<kTokens> x, int first_half,
                          typename S::F (*f)[kTokens]) {
  using F = typename S::F;
  constexpr int kParts = Reader::kScalesPerGroup;
  constexpr int kPairs = kGroupQuads / 2 / kParts;
  each_index<0, kParts>([&](auto part) PIE_INLINE_LAMBDA {
    typename S::template Dot<Reader::kMaxWeight> dots[kHalves_][kTokens];
    const int32_t* start = Reader::kOffsetShift < 0 ? nullptr
                           : kParts == 1            ? x.minus_sum()
                                                    : x.minus_sum_16(part);
    const auto start_of = [&](int token) PIE_INLINE_LAMBDA {
      return Reader::kOffsetShift < 0 ? nullptr : start + token;
    };
    each_index<0, kTokens>([&](auto t) PIE_INLINE_LAMBDA {
      each_index<0, kHalves_>(
          [&](auto h) PIE_INLINE_LAMBDA { dots[h][t].begin(start_of(t), Reader::kOffsetShift); });
    });
    each_index<0, kPairs>([&](auto p) PIE_INLINE_LAMBDA {
      constexpr int kPair = decltype(part)::value * kPairs + decltype(p)::value;
      QuadPair<S> w[kHalves_];
      each_index<0, kHalves_>([&](auto h) PIE_INLINE_LAMBDA {
        w[h] = Reader::template quads<kPair>(group, first_half + h);
      });
      each_index<0, kTokens>([&](auto t) PIE_INLINE_LAMBDA {
        const auto quad = S::broadcast(x.q(t) + 8 * kPair);
        each_index<0, kHalves_>([&](auto h) PIE_INLINE_LAMBDA {
          dots[h][t].template add<2 * decltype(p)::value>(w[h].even, quad);
        });
      });
      each_index<0, kTokens>([&](auto t) PIE_INLINE_LAMBDA {
        const auto quad = S::broadcast(x.q(t) + 8 * kPair + 4);
        each_index<0, kHalves_>([&](auto h) PIE_INLINE_LAMBDA {
          dots[h][t].template add<2 * decltype(p)::value + 1>(w[h].odd, quad);
        });
      });
    });
    each_index<0, kHalves_>([&](auto h) PIE_INLINE_LAMBDA {
      const F scale = Reader::scale(group, scales[h], first_half + h, part);
      const F minimum = Reader::minimum(group, scales[h], first_half + h);
      each_index<0, kTokens>([&](auto t) PIE_INLINE_LAMBDA {
        const F sum = S::to_float(dots[h][t].sum(start_of(t), Reader::kOffsetShift));
        f[h][t] = S::fma(S::mul(sum, S::set1(x.d()[t])), scale, f[h][t]);
        if constexpr (Reader::kHasMinimum) {
          f[h][t] = S::fma(minimum, S::set1(x.d_sum()[t]), f[h][t]);
        }
      });
    });
  });
}

/// A tile of quantised weights.
template <class S, Format kFormat, int kTokens>
void quantized_tile(const std::byte* panel, uint32_t k, const std::byte* activations,
                    Prefetch ahead, TileSums& sums) {
  using F = typename S::F;
  using Reader = FormatReader<S, kFormat>;
  using Block = typename Reader::Block;
  constexpr int kAtOnce = S::kHalvesAtOnce;
  F f[kHalves][kTokens];
  each_index<0, kTokens>([&](auto t) PIE_INLINE_LAMBDA {
    each_index<0, kHalves>([&](auto h) PIE_INLINE_LAMBDA { f[h][t] = S::zero(); });
  });
  const Block* block = reinterpret_cast<const Block*>(panel);
  const uint32_t block_count = k / PanelOf<kFormat>::kValues;
  GroupActivations<kTokens> x = {activations};
  for (uint32_t b = 0; b < block_count; ++b, ++block) {
    BlockScales<S> scales[kHalves];
    each_index<0, kHalves>([&](auto h)
                               PIE_INLINE_LAMBDA { scales[h] = Reader::block_scales(*block, h); });
    for (int g = 0; g < Reader::kGroups; ++g, x.data += kTokens * kActivationGroupBytes) {
      prefetch_some<S>(ahead);
      const auto& group = Reader::group(*block, g);
      each_index<0, kHalves / kAtOnce>([&](auto pass) PIE_INLINE_LAMBDA {
        constexpr int kFirst = decltype(pass)::value * kAtOnce;
        add_group<S, Reader, kTokens, kAtOnce>(group, scales + kFirst, x, kFirst, f + kFirst);
      });
    }
  }
  each_index<0, kTokens>([&](auto t) PIE_INLINE_LAMBDA {
    each_index<0, kHalves>([&](auto h)
                               PIE_INLINE_LAMBDA { S::store(sums[t] + kHalfRows * h, f[h][t]); });
  });
}

/// A tile of F32, F16 or BF16 weights: one chain f = fma(w, x, f) over k.
template <class S, Format kFormat, int kTokens>
void float_tile(const std::byte* panel, uint32_t k, const std::byte* activations, Prefetch ahead,
                TileSums& sums) {
  using F = typename S::F;
  using Step = typename PanelOf<kFormat>::Block;
  F f[kHalves][kTokens];
  each_index<0, kTokens>([&](auto t) PIE_INLINE_LAMBDA {
    each_index<0, kHalves>([&](auto h) PIE_INLINE_LAMBDA { f[h][t] = S::zero(); });
  });
  const Step* step = reinterpret_cast<const Step*>(panel);
  const float* x = reinterpret_cast<const float*>(activations);
  for (uint32_t i = 0; i < k; ++i, ++step, x += kTokens) {
    prefetch_some<S>(ahead);
    const F w[kHalves] = {load_values<S>(*step, 0), load_values<S>(*step, 1)};
    each_index<0, kTokens>([&](auto t) PIE_INLINE_LAMBDA {
      const F value = S::set1(x[t]);
      each_index<0, kHalves>([&](auto h)
                                 PIE_INLINE_LAMBDA { f[h][t] = S::fma(w[h], value, f[h][t]); });
    });
  }
  each_index<0, kTokens>([&](auto t) PIE_INLINE_LAMBDA {
    each_index<0, kHalves>([&](auto h)
                               PIE_INLINE_LAMBDA { S::store(sums[t] + kHalfRows * h, f[h][t]); });
  });
}

using TileFunction = void (*)(const std::byte* panel, uint32_t k, const std::byte* activations,
                              Prefetch ahead, TileSums& sums);

/// The functions for 1 .. kTileTokens tokens.
struct TileFunctions {
  TileFunction of_tokens[kTileTokens];
};

template <class S, Format kFormat>
constexpr TileFunctions quantized_tiles() {
  return {{quantized_tile<S, kFormat, 1>, quantized_tile<S, kFormat, 2>,
           quantized_tile<S, kFormat, 3>, quantized_tile<S, kFormat, 4>,
           quantized_tile<S, kFormat, 5>, quantized_tile<S, kFormat, 6>}};
}

template <class S, Format kFormat>
constexpr TileFunctions float_tiles() {
  return {{float_tile<S, kFormat, 1>, float_tile<S, kFormat, 2>, float_tile<S, kFormat, 3>,
           float_tile<S, kFormat, 4>, float_tile<S, kFormat, 5>, float_tile<S, kFormat, 6>}};
}

}  // namespace
}  // namespace pie::kernels
