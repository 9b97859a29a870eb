#pragma once
#include <cstdint>

#include "kernels/attention.h"
#include "kernels/simd/inline.h"
#include "kernels/tile/page_formats.h"

// Attention over a SIMD type S and a page format P: included once by each attention_<isa>.cc
// (README.md, "The SIMD layer").
namespace pie::kernels {
namespace {

constexpr float kMaskedScore = -1e30F;
constexpr float kLog2OfE = 1.44269504F;

/// 2^x for x <= 0, relative error below 3e-7; 0 below -100. NaN gives 2^-100.
/// x = n + f with |f| <= 1/2; 2^f by its Taylor series to the sixth power (the rest: 1.2e-7).
template <class S>
PIE_INLINE typename S::F exp2_negative(typename S::F x) {
  using F = typename S::F;
  const F least = S::set1(-100.0F);
  const F clamped = S::max(x, least);
  const F n = S::round(clamped);
  const F f = S::sub(clamped, n);
  F p = S::set1(1.54035304e-4F);
  p = S::fma(p, f, S::set1(1.33335581e-3F));
  p = S::fma(p, f, S::set1(9.61812911e-3F));
  p = S::fma(p, f, S::set1(5.55041087e-2F));
  p = S::fma(p, f, S::set1(2.40226507e-1F));
  p = S::fma(p, f, S::set1(6.93147181e-1F));
  p = S::fma(p, f, S::set1(1.0F));
  return S::select_less(x, least, S::zero(), S::times_power_of_2(p, n));
}

/// log2(e) * cap * tanh(x): with e = 2^(-2 log2(e) |x|), tanh |x| = (1 - e) / (1 + e).
template <class S>
PIE_INLINE typename S::F capped_score(typename S::F x, float cap) {
  using F = typename S::F;
  const F one = S::set1(1.0F);
  const F e = exp2_negative<S>(S::mul(S::abs(x), S::set1(-2.0F * kLog2OfE)));
  const F tanh = S::copy_sign(S::div(S::sub(one, e), S::add(one, e)), x);
  return S::mul(tanh, S::set1(cap * kLog2OfE));
}

/// The scales of a page: K's for kPageTokens tokens, then V's.
PIE_INLINE const float* scales_of(const AttentionShape& shape, const std::byte* page) {
  return reinterpret_cast<const float*>(page + shape.page_elements());
}

/// Scores of T queries against C pages: each lane is a slot, so that nothing is summed across
/// lanes; each element of K is loaded once for all queries.
template <class S, class P, int T, int C>
PIE_INLINE void score_pages(const AttentionShape& shape, const std::byte* const* pages,
                            const float* queries, float* scores) {
  typename S::F sum[T][C];
  for (int t = 0; t < T; ++t) {
    for (int p = 0; p < C; ++p) sum[t][p] = S::zero();
  }
  const std::byte* keys[C];
  for (int p = 0; p < C; ++p) keys[p] = pages[p];
  for (uint32_t d = 0; d < shape.key_size; ++d, queries += T) {
    typename S::F k[C];
    for (int p = 0; p < C; ++p) k[p] = P::load(keys[p] + d * kPageTokens * P::kElementBytes);
    for (int t = 0; t < T; ++t) {
      const typename S::F q = S::set1(queries[t]);
      for (int p = 0; p < C; ++p) sum[t][p] = S::fma(k[p], q, sum[t][p]);
    }
  }
  if constexpr (P::kIsScaled) {
    for (int p = 0; p < C; ++p) {
      const typename S::F scale = S::load(scales_of(shape, pages[p]));
      for (int t = 0; t < T; ++t) sum[t][p] = S::mul(sum[t][p], scale);
    }
  }
  for (int t = 0; t < T; ++t) {
    for (int p = 0; p < C; ++p) {
      S::store(
          scores + static_cast<uint32_t>(t) * kChunkTokens + static_cast<uint32_t>(p) * kPageTokens,
          sum[t][p]);
    }
  }
}

template <class S, class P, int T, int C>
PIE_INLINE void score_all(const AttentionShape& shape, const std::byte* const* pages,
                          uint32_t count, const float* queries, float* scores) {
  for (; count >= C; count -= C, pages += C, scores += C * kPageTokens) {
    score_pages<S, P, T, C>(shape, pages, queries, scores);
  }
  if constexpr (C > 1) score_all<S, P, T, C / 2>(shape, pages, count, queries, scores);
}

/// Whether sums begin with zero or go on from what is there.
enum class Sums { kBegin, kGoOn };

/// C blocks of 16 columns of sum over slots of weight * V, for T queries.
template <class S, class P, int T, int C, Sums kSums>
PIE_INLINE void add_values(const std::byte* const* values, uint32_t page_count, size_t row_bytes,
                           const float* weights, float* const* sums) {
  typename S::F sum[T][C];
  for (int t = 0; t < T; ++t) {
    for (int c = 0; c < C; ++c) {
      sum[t][c] = kSums == Sums::kBegin ? S::zero() : S::load(sums[t] + c * 16);
    }
  }
  for (uint32_t p = 0; p < page_count; ++p) {
    const std::byte* row = values[p];
    for (uint32_t j = 0; j < kPageTokens; ++j, row += row_bytes, ++weights) {
      typename S::F v[C];
      for (int c = 0; c < C; ++c) {
        v[c] = P::load(row + static_cast<size_t>(c) * 16 * P::kElementBytes);
      }
      for (int t = 0; t < T; ++t) {
        const typename S::F w = S::set1(weights[static_cast<uint32_t>(t) * kChunkTokens]);
        for (int c = 0; c < C; ++c) sum[t][c] = S::fma(v[c], w, sum[t][c]);
      }
    }
  }
  for (int t = 0; t < T; ++t) {
    for (int c = 0; c < C; ++c) S::store(sums[t] + c * 16, sum[t][c]);
  }
}

template <class S, class P, int T, int C, Sums kSums = Sums::kBegin>
PIE_INLINE void add_all_values(const AttentionShape& shape, const std::byte* const* pages,
                               uint32_t page_count, uint32_t column, const float* weights,
                               float* const* partials) {
  const uint32_t stride = shape.value_stride();
  const uint32_t first_value = shape.key_size * kPageTokens;
  for (; column + C * 16 <= stride; column += C * 16) {
    const std::byte* values[kChunkPages];
    for (uint32_t p = 0; p < page_count; ++p) {
      values[p] = pages[p] + (first_value + column) * P::kElementBytes;
    }
    float* sums[T];
    for (int t = 0; t < T; ++t) sums[t] = partials[t] + 16 + column;
    add_values<S, P, T, C, kSums>(values, page_count, stride * P::kElementBytes, weights, sums);
  }
  if constexpr (C > 1) {
    add_all_values<S, P, T, C / 2, kSums>(shape, pages, page_count, column, weights, partials);
  }
}

/// Scores to weights, in place; the largest score and the sum of weights to `partial`.
template <class S>
PIE_INLINE void weigh(const AttentionShape& shape, float* scores, const uint16_t* visible,
                      uint32_t page_count, float* partial) {
  const typename S::F masked = S::set1(kMaskedScore);
  typename S::F largest = masked;
  for (uint32_t p = 0; p < page_count; ++p) {
    typename S::F s = S::load(scores + p * kPageTokens);
    if (shape.softcap > 0.0F) s = capped_score<S>(s, shape.softcap);
    if (visible[p] != 0xFFFFU) s = S::select_bits(visible[p], s, masked);
    S::store(scores + p * kPageTokens, s);
    largest = S::max(largest, s);
  }
  const float max_score = S::reduce_max(largest);
  const typename S::F shift = S::set1(max_score);
  typename S::F sum = S::zero();
  for (uint32_t p = 0; p < page_count; ++p) {
    typename S::F w = exp2_negative<S>(S::sub(S::load(scores + p * kPageTokens), shift));
    if (visible[p] != 0xFFFFU) w = S::select_bits(visible[p], w, S::zero());
    S::store(scores + p * kPageTokens, w);
    sum = S::add(sum, w);
  }
  partial[0] = max_score;
  partial[1] = S::reduce_add(sum);
}

/// How many pages of scores (or blocks of columns) stand in registers beside T queries: a quarter
/// of the registers is left for what they are made of.
template <class S, int T>
constexpr int blocks_beside() {
  int blocks = 8;
  while (blocks > 1 && blocks * T > S::kFloatVectors * 3 / 4) blocks /= 2;
  return blocks;
}

/// Weights of pages times the scales of their V.
template <class S>
PIE_INLINE void scale_weights(const AttentionShape& shape, const std::byte* const* pages,
                              uint32_t page_count, float* weights) {
  for (uint32_t p = 0; p < page_count; ++p, weights += kPageTokens) {
    const typename S::F scale = S::load(scales_of(shape, pages[p]) + kPageTokens);
    S::store(weights, S::mul(S::load(weights), scale));
  }
}

template <class S, class P, int T>
void attend_tile(const AttentionShape& shape, const AttentionChunk& chunk) {
  alignas(64) float scores[T * kChunkTokens];
  // Pages that no query of the tile sees are left out: they would add zeros.
  const std::byte* pages[kChunkPages];
  uint16_t visible[T][kChunkPages];
  uint32_t count = 0;
  for (uint32_t p = 0; p < chunk.page_count; ++p) {
    uint32_t any = 0;
    for (int t = 0; t < T; ++t) {
      visible[t][count] = chunk.visible[t][p];
      any |= chunk.visible[t][p];
    }
    pages[count] = chunk.pages[p];
    count += any != 0 ? 1 : 0;
  }
  score_all<S, P, T, blocks_beside<S, T>()>(shape, pages, count, chunk.queries, scores);
  for (int t = 0; t < T; ++t) {
    float* weights = scores + static_cast<uint32_t>(t) * kChunkTokens;
    weigh<S>(shape, weights, visible[t], count, chunk.partials[t]);
    if constexpr (P::kIsScaled) scale_weights<S>(shape, pages, count, weights);
  }
  add_all_values<S, P, T, blocks_beside<S, T>()>(shape, pages, count, 0, scores, chunk.partials);
}

/// Of one query, the scores of a chunk's members side by side, and which of them it sees.
struct Gathered {
  uint32_t count = 0;
  uint16_t visible[kChunkPages + 1] = {};  // one more, for a page that goes over an edge
};

/// Appends the members of some pages: scores[slot] to members[rank].
template <class S>
PIE_INLINE void gather(Gathered& to, const float* scores, const uint16_t* members,
                       const uint16_t* visible, uint32_t page_count, float* by_rank) {
  for (uint32_t p = 0; p < page_count; ++p, scores += kPageTokens) {
    if (members[p] == 0xFFFFU) {
      S::store(by_rank + to.count, S::load(scores));
      const uint32_t seen = static_cast<uint32_t>(visible[p]) << to.count % 16;
      uint16_t* words = to.visible + to.count / 16;
      words[0] = static_cast<uint16_t>(words[0] | (seen & 0xFFFFU));
      words[1] = static_cast<uint16_t>(words[1] | seen >> 16);
      to.count += kPageTokens;
      continue;
    }
    for (uint32_t left = members[p]; left != 0; left &= left - 1, ++to.count) {
      const int slot = __builtin_ctz(left);
      const uint32_t seen = static_cast<uint32_t>(visible[p]) >> slot & 1U;
      uint16_t& word = to.visible[to.count / 16];
      word = static_cast<uint16_t>(word | seen << to.count % 16);
      by_rank[to.count] = scores[slot];
    }
  }
}

/// Puts the members' weights back where their slots are in some pages; zeros between them. Returns
/// the next rank.
template <class S>
PIE_INLINE uint32_t scatter(const float* by_rank, uint32_t rank, const uint16_t* members,
                            uint32_t page_count, float* weights) {
  for (uint32_t p = 0; p < page_count; ++p, weights += kPageTokens) {
    if (members[p] == 0xFFFFU) {
      S::store(weights, S::load(by_rank + rank));
      rank += kPageTokens;
      continue;
    }
    S::store(weights, S::zero());
    for (uint32_t left = members[p]; left != 0; left &= left - 1)
      weights[__builtin_ctz(left)] = by_rank[rank++];
  }
  return rank;
}

/// As attend_tile, but the softmax is over members side by side, and pages may be more than those
/// of a chunk: they go in groups, each value's chain of additions from one to the next.
template <class S, class P, int T>
void attend_scattered_tile(const AttentionShape& shape, const ScatteredChunk& chunk) {
  constexpr int kBlocks = blocks_beside<S, T>();
  alignas(64) float by_slot[T * kChunkTokens];
  alignas(64) float by_rank[T * kChunkTokens];
  Gathered gathered[T];
  const auto each_group = [&](const auto& f) PIE_INLINE_LAMBDA {
    for (uint32_t first = 0; first < chunk.page_count; first += kChunkPages) {
      const uint32_t left = chunk.page_count - first;
      f(first, left < kChunkPages ? left : kChunkPages);
    }
  };
  each_group([&](uint32_t first, uint32_t count) PIE_INLINE_LAMBDA {
    score_all<S, P, T, kBlocks>(shape, chunk.pages + first, count, chunk.queries, by_slot);
    for (int t = 0; t < T; ++t) {
      gather<S>(gathered[t], by_slot + t * static_cast<int>(kChunkTokens), chunk.members[t] + first,
                chunk.visible[t] + first, count, by_rank + t * static_cast<int>(kChunkTokens));
    }
  });
  uint32_t rank[T];
  for (int t = 0; t < T; ++t) {
    float* weights = by_rank + t * static_cast<int>(kChunkTokens);
    rank[t] = 0;
    const uint32_t pages = (gathered[t].count + kPageTokens - 1) / kPageTokens;
    for (uint32_t i = gathered[t].count; i < pages * kPageTokens; ++i) weights[i] = 0.0F;
    weigh<S>(shape, weights, gathered[t].visible, pages, chunk.partials[t]);
    for (uint32_t i = 16; i < shape.partial_size(); i += 16)
      S::store(chunk.partials[t] + i, S::zero());
  }
  each_group([&](uint32_t first, uint32_t count) PIE_INLINE_LAMBDA {
    for (int t = 0; t < T; ++t) {
      float* weights = by_slot + t * static_cast<int>(kChunkTokens);
      rank[t] = scatter<S>(by_rank + t * static_cast<int>(kChunkTokens), rank[t],
                           chunk.members[t] + first, count, weights);
      if constexpr (P::kIsScaled) scale_weights<S>(shape, chunk.pages + first, count, weights);
    }
    add_all_values<S, P, T, kBlocks, Sums::kGoOn>(shape, chunk.pages + first, count, 0, by_slot,
                                                  chunk.partials);
  });
}

template <class S, class P>
void attend_scattered(const AttentionShape& shape, const ScatteredChunk& chunk) {
  switch (chunk.query_count) {
    case 1: return attend_scattered_tile<S, P, 1>(shape, chunk);
    case 2: return attend_scattered_tile<S, P, 2>(shape, chunk);
    case 3: return attend_scattered_tile<S, P, 3>(shape, chunk);
    case 4: return attend_scattered_tile<S, P, 4>(shape, chunk);
    default: return attend_scattered_tile<S, P, 6>(shape, chunk);
  }
}

template <class S, class P>
void attend_chunk(const AttentionShape& shape, const AttentionChunk& chunk) {
  switch (chunk.query_count) {
    case 1: return attend_tile<S, P, 1>(shape, chunk);
    case 2: return attend_tile<S, P, 2>(shape, chunk);
    case 3: return attend_tile<S, P, 3>(shape, chunk);
    case 4: return attend_tile<S, P, 4>(shape, chunk);
    default: return attend_tile<S, P, 6>(shape, chunk);
  }
}

inline void pack_tiles(const AttentionShape& shape, const float* const* queries, uint32_t count,
                       float* packed) {
  // The softmax is to the base 2. A soft cap c takes score / c and multiplies afterwards.
  const float scale = shape.softcap > 0.0F ? shape.scale / shape.softcap : shape.scale * kLog2OfE;
  while (count > 0) {
    const uint32_t tile = next_tile(count);
    for (uint32_t t = 0; t < tile; ++t) {
      for (uint32_t d = 0; d < shape.key_size; ++d) packed[d * tile + t] = queries[t][d] * scale;
    }
    packed += tile * shape.key_size;
    queries += tile;
    count -= tile;
  }
}

template <class S, class P>
void append_token(const AttentionShape& shape, std::byte* page, uint32_t token, const float* key,
                  const float* value) {
  constexpr size_t kBytes = P::kElementBytes;
  alignas(16) std::byte sixteen[16 * kBytes];
  const auto key_rounding = P::rounding(key, shape.key_size);
  for (uint32_t d = 0; d < shape.key_size; d += 16) {
    P::encode(sixteen, load_up_to<S>(key + d, shape.key_size - d), key_rounding);
    for (uint32_t i = 0; i < 16 && d + i < shape.key_size; ++i) {
      __builtin_memcpy(page + (size_t{d + i} * kPageTokens + token) * kBytes, sixteen + i * kBytes,
                       kBytes);
    }
  }
  const auto value_rounding = P::rounding(value, shape.value_size);
  std::byte* row =
      page + (size_t{shape.key_size} * kPageTokens + token * shape.value_stride()) * kBytes;
  for (uint32_t d = 0; d < shape.value_size; d += 16) {
    P::encode(row + d * kBytes, load_up_to<S>(value + d, shape.value_size - d), value_rounding);
  }
  if constexpr (P::kIsScaled) {
    auto* scales = reinterpret_cast<float*>(page + shape.page_elements());
    scales[token] = key_rounding.scale;
    scales[kPageTokens + token] = value_rounding.scale;
  }
}

template <class S>
void merge_partial(const AttentionShape& shape, float* sum, const float* partial) {
  using F = typename S::F;
  if (!(partial[1] > 0.0F)) return;
  const uint32_t end = shape.partial_size();
  if (!(sum[1] > 0.0F)) {
    for (uint32_t i = 0; i < end; i += 16) S::store(sum + i, S::load(partial + i));
    return;
  }
  const float larger = sum[0] > partial[0] ? sum[0] : partial[0];
  const F old_weight = exp2_negative<S>(S::set1(sum[0] - larger));
  const F new_weight = exp2_negative<S>(S::set1(partial[0] - larger));
  for (uint32_t i = 16; i < end; i += 16) {
    const F added = S::mul(S::load(partial + i), new_weight);
    S::store(sum + i, S::fma(S::load(sum + i), old_weight, added));
  }
  float weights[16];
  S::store(weights, S::fma(S::set1(sum[1]), old_weight, S::mul(S::set1(partial[1]), new_weight)));
  sum[0] = larger;
  sum[1] = weights[0];
}

template <class S>
void finish_query(const AttentionShape& shape, const float* sum, float* result) {
  const bool seen = sum[1] > 0.0F;
  const typename S::F weight = S::set1(seen ? 1.0F / sum[1] : 0.0F);
  for (uint32_t d = 0; d < shape.value_size; d += 16) {
    const typename S::F scaled = seen ? S::mul(S::load(sum + 16 + d), weight) : S::zero();
    const uint32_t left = shape.value_size - d;
    S::store_n(result + d, scaled, static_cast<int>(left < 16 ? left : 16));
  }
}

template <class S, class P>
constexpr AttentionKernels attention_kernels_of() {
  return {append_token<S, P>,     pack_tiles,       attend_chunk<S, P>,
          attend_scattered<S, P>, merge_partial<S>, finish_query<S>};
}

}  // namespace
}  // namespace pie::kernels

/// The kernels of a SIMD type, by PageFormat.
#define PIE_ATTENTION_KERNELS(S)                                           \
  {::pie::kernels::attention_kernels_of<S, ::pie::kernels::F16Page<S>>(),  \
   ::pie::kernels::attention_kernels_of<S, ::pie::kernels::Bf16Page<S>>(), \
   ::pie::kernels::attention_kernels_of<S, ::pie::kernels::Q8Page<S>>()}
