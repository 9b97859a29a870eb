#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/isa.h"

namespace pie::kernels {

/// Tokens of a page of K and V.
constexpr uint32_t kPageTokens = 16;
/// Slots of a chunk, and pages when they lie side by side: the piece of what a query attends to
/// whose softmax is one.
constexpr uint32_t kChunkPages = 8;
constexpr uint32_t kChunkTokens = kChunkPages * kPageTokens;
/// Queries that are computed together at most.
constexpr uint32_t kTileQueries = 6;

/// What K and V are stored as. kQ8: int8 with one f32 scale for a token's K and one for its V.
enum class PageFormat { kF16, kBf16, kQ8 };

/// One layer's attention, as far as a head is concerned. Sizes in elements.
struct AttentionShape {
  uint32_t key_size = 0;    ///< of a head of Q and K
  uint32_t value_size = 0;  ///< of a head of V
  float scale = 1.0F;       ///< multiplies Q·K
  float softcap = 0.0F;     ///< c·tanh(score / c); 0 = none
  PageFormat format = PageFormat::kF16;

  /// Elements from one token's V to the next one's, in a page.
  uint32_t value_stride() const { return (value_size + 15) / 16 * 16; }
  /// Elements of a page of one K/V head: K [key_size][16 tokens], then V [16 tokens][stride].
  uint32_t page_elements() const { return kPageTokens * (key_size + value_stride()); }
  /// Bytes of such a page, a multiple of 16. kQ8: scales of K [16 tokens], then those of V, stand
  /// behind the elements.
  uint32_t page_bytes() const {
    return format == PageFormat::kQ8
               ? page_elements() + 2 * kPageTokens * static_cast<uint32_t>(sizeof(float))
               : page_elements() * static_cast<uint32_t>(sizeof(uint16_t));
  }
  /// Floats of a partial result: the largest score, the sum of weights, 14 unused; then the
  /// weighted sum of V [value_stride].
  uint32_t partial_size() const { return 16 + value_stride(); }
};

/// Which of a chunk's slots a query sees: bit i of word p is slot 16 p + i.
using ChunkVisible = uint16_t[kChunkPages];

/// A tile of queries of one K/V head against one chunk.
struct AttentionChunk {
  const std::byte* const* pages = nullptr;   ///< [page_count]: the head's part of each page
  uint32_t page_count = 0;                   ///< 1 to kChunkPages; slots behind are not visible
  uint32_t query_count = 0;                  ///< a tile: 1, 2, 3, 4 or 6
  const float* queries = nullptr;            ///< as pack_queries() wrote them
  const uint16_t* const* visible = nullptr;  ///< [query_count] of ChunkVisible
  float* const* partials = nullptr;          ///< [query_count] of partial_size(), written
};

/// A tile of queries of one K/V head, each against a chunk of its own whose slots lie anywhere. A
/// chunk's members have an order, which is that of their slots; what lies between them is no part
/// of it.
struct ScatteredChunk {
  const std::byte* const* pages = nullptr;   ///< [page_count]: all that hold members, in order
  uint32_t page_count = 0;                   ///< any number
  uint32_t query_count = 0;                  ///< a tile: 1, 2, 3, 4 or 6
  const float* queries = nullptr;            ///< as pack_queries() wrote them
  const uint16_t* const* members = nullptr;  ///< [query_count] of a word a page, as ChunkVisible;
                                             ///< at most kChunkTokens bits in all
  const uint16_t* const* visible = nullptr;  ///< likewise: the members that the query sees
  float* const* partials = nullptr;          ///< [query_count] of partial_size(), written
};

/// Attention over pages of K and V in one format: a shape of another must not be given.
///
/// The result of a query over a chunk depends on the query, the chunk's K and V in their order and
/// what is visible of them alone: not on where they lie, not on the tile that it shares, not on the
/// instruction set. Partial results are merged by
/// log-sum-exp; merged in the order of the chunks they give the same bits however the work was cut.
/// Weights below 2^-100 of the chunk's largest are 0. Pages hold finite numbers only (append() sees
/// to it), so that a slot which is not visible adds nothing, whatever stands in it.
struct AttentionKernels {
  /// Writes one token's K and V (f32) to slot `token` of a head's part of a page, rounded to
  /// nearest, ties to even. What is larger than F16 (also for kQ8) or BF16 becomes the largest one,
  /// NaN the negative one.
  void (*append)(const AttentionShape& shape, std::byte* page, uint32_t token, const float* key,
                 const float* value);
  /// Scales `count` queries (f32 [key_size] each) and lays them out as tiles after each other, f32
  /// [key_size * count] in all.
  void (*pack_queries)(const AttentionShape& shape, const float* const* queries, uint32_t count,
                       float* packed);
  void (*attend)(const AttentionShape& shape, const AttentionChunk& chunk);
  /// The same bits as attend() over pages that hold the members side by side from slot 0 on.
  void (*attend_scattered)(const AttentionShape& shape, const ScatteredChunk& chunk);
  /// Adds a later chunk's partial result to `sum`. Nothing visible adds nothing.
  void (*merge)(const AttentionShape& shape, float* sum, const float* partial);
  /// The result of a query, f32 [value_size]; zeros when it saw nothing.
  void (*finish)(const AttentionShape& shape, const float* sum, float* result);
};

/// Queries of the tile that begins where `remaining` are left.
constexpr uint32_t next_tile(uint32_t remaining) {
  if (remaining >= kTileQueries) return kTileQueries;
  return remaining == 5 ? 3 : remaining;
}

/// Makes `partial` the result over no chunk.
void clear_partial(float* partial);

const AttentionKernels& attention_kernels(Isa isa, PageFormat format);

}  // namespace pie::kernels
