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

/// Which of a tile's sums are computed together: as many as the registers hold.
template <int kFirstHalf_, int kHalfCount_, int kFirstToken_, int kTokenCount_>
struct Part {
  static constexpr int kFirstHalf = kFirstHalf_;
  static constexpr int kHalfCount = kHalfCount_;
  static constexpr int kFirstToken = kFirstToken_;
  static constexpr int kTokenCount = kTokenCount_;
  /// f(half, token) for each sum of the part.
  template <class Function>
  PIE_INLINE static void each(const Function& f) {
    each_index<kFirstToken, kFirstToken + kTokenCount>([&](auto t) PIE_INLINE_LAMBDA {
      each_index<kFirstHalf, kFirstHalf + kHalfCount>([&](auto h) PIE_INLINE_LAMBDA { f(h, t); });
    });
  }
};

/// Adds scale number `kScale` of a group to f:
///   f = fma(float(exact integer sum) * d_x, scale, f), then f = fma(minimum, d_sum_x, f).
template <class S, class Reader, class Here, int kScale, int kTokens, class Group>
PIE_INLINE void add_scaled_sums(const Group& group, const BlockScales<S>* scales,
                                GroupActivations<kTokens> x, typename S::F (*f)[kTokens]) {
  using F = typename S::F;
  constexpr int kQuads = kGroupQuads / Reader::kScalesPerGroup;
  constexpr int kShift = Reader::kOffsetShift;
  typename S::template Dot<Reader::kMaxWeight> dots[kHalves][kTokens];
  const auto start_of = [&](int token) PIE_INLINE_LAMBDA {
    return kShift < 0                     ? nullptr
           : Reader::kScalesPerGroup == 1 ? x.minus_sum() + token
                                          : x.minus_sum_16(kScale) + token;
  };
  Here::each([&](auto h, auto t) PIE_INLINE_LAMBDA { dots[h][t].begin(start_of(t), kShift); });
  constexpr int kPasses = S::template Dot<Reader::kMaxWeight>::kPasses;
  each_index<0, kPasses * kQuads>([&](auto i) PIE_INLINE_LAMBDA {
    constexpr int kIndex = decltype(i)::value % kQuads;
    constexpr int kPass = decltype(i)::value / kQuads;
    constexpr int kQuad = kScale * kQuads + kIndex;
    typename S::Quads w[kHalves];
    S::forget_loads();
    each_index<Here::kFirstHalf, Here::kFirstHalf + Here::kHalfCount>(
        [&](auto h) PIE_INLINE_LAMBDA { w[h] = Reader::template quads<kQuad>(group, h); });
    each_index<Here::kFirstToken, Here::kFirstToken + Here::kTokenCount>(
        [&](auto t) PIE_INLINE_LAMBDA {
          const auto of_token = S::broadcast(x.q(t) + 4 * kQuad);
          each_index<Here::kFirstHalf, Here::kFirstHalf + Here::kHalfCount>(
              [&](auto h)
                  PIE_INLINE_LAMBDA { dots[h][t].template add<kIndex, kPass>(w[h], of_token); });
        });
  });
  F scale[kHalves];
  F minimum[kHalves];
  each_index<Here::kFirstHalf, Here::kFirstHalf + Here::kHalfCount>([&](auto h) PIE_INLINE_LAMBDA {
    scale[h] = Reader::scale(group, scales[h], h, kScale);
    minimum[h] = Reader::minimum(group, scales[h], h);
  });
  Here::each([&](auto h, auto t) PIE_INLINE_LAMBDA {
    const F sum = S::to_float(dots[h][t].sum(start_of(t), kShift));
    f[h][t] = S::fma(S::mul(sum, S::set1(x.d()[t])), scale[h], f[h][t]);
    if constexpr (Reader::kHasMinimum) {
      f[h][t] = S::fma(minimum[h], S::set1(x.d_sum()[t]), f[h][t]);
    }
  });
}

/// Part number `kPart` of a tile of kTokens tokens.
template <class S, class Reader, int kTokens>
struct Parts {
  static constexpr int kMost = S::template Dot<Reader::kMaxWeight>::kTokensAtOnce;
  static constexpr int kOfTokens = (kTokens + kMost - 1) / kMost;
  static constexpr int kOfHalves = kHalves / S::kHalvesAtOnce;
  static constexpr int kCount = kOfTokens * kOfHalves;
  static constexpr int token(int of_tokens) { return of_tokens * kTokens / kOfTokens; }
  template <int kPart>
  using Of = Part<kPart % kOfHalves * S::kHalvesAtOnce, S::kHalvesAtOnce, token(kPart / kOfHalves),
                  token(kPart / kOfHalves + 1) - token(kPart / kOfHalves)>;
};

/// Adds a group to all sums of a tile, part by part.
template <class S, class Reader, int kTokens, class Group>
PIE_INLINE void add_group(const Group& group, const BlockScales<S>* scales,
                          GroupActivations<kTokens> x, typename S::F (*f)[kTokens]) {
  using All = Parts<S, Reader, kTokens>;
  each_index<0, All::kCount * Reader::kScalesPerGroup>([&](auto i) PIE_INLINE_LAMBDA {
    using Here = typename All::template Of<decltype(i)::value / Reader::kScalesPerGroup>;
    constexpr int kScale = decltype(i)::value % Reader::kScalesPerGroup;
    add_scaled_sums<S, Reader, Here, kScale>(group, scales, x, f);
  });
}

/// A tile of quantised weights.
template <class S, Format kFormat, int kTokens>
void quantized_tile(const std::byte* panel, uint32_t k, const std::byte* activations,
                    Prefetch ahead, TileSums& sums) {
  using F = typename S::F;
  using Reader = FormatReader<S, kFormat>;
  using Block = typename Reader::Block;
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
      add_group<S, Reader, kTokens>(group, scales, x, f);
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
