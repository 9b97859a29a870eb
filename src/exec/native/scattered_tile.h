#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "exec/native/row_chunks.h"
#include "kernels/attention.h"

namespace pie::exec {

/// The pages in which a tile's rows have slots of a chunk, each row its own, and what of each page
/// is whose. One for each thread, used again.
class ScatteredTile {
 public:
  ScatteredTile();

  /// `rows`: at most kTileQueries; who has no such chunk has no slots.
  void find(const RowChunks& chunks, std::span<const PlanRow* const> rows, uint32_t chunk,
            uint32_t window);

  /// Indices into the sequence's page table, ascending.
  std::span<const uint32_t> pages() const { return {pages_.data(), page_count_}; }
  /// Words of a row, one for each page.
  const uint16_t* members(size_t row) const { return members_.data() + row * kPagesMax; }
  const uint16_t* visible(size_t row) const { return visible_.data() + row * kPagesMax; }

 private:
  /// Each row has a page for each of its slots at most.
  static constexpr size_t kPagesMax = size_t{kernels::kTileQueries} * kernels::kChunkTokens;

  std::vector<uint32_t> pages_;
  std::vector<uint16_t> members_, visible_;
  uint32_t page_count_ = 0;
};

}  // namespace pie::exec
