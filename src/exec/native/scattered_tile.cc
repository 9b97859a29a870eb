#include "exec/native/scattered_tile.h"

#include <algorithm>

namespace pie::exec {

using kernels::kPageTokens;
using kernels::kTileQueries;

ScatteredTile::ScatteredTile()
    : pages_(kPagesMax), members_(kTileQueries * kPagesMax), visible_(kTileQueries * kPagesMax) {}

void ScatteredTile::find(const RowChunks& chunks, std::span<const PlanRow* const> rows,
                         uint32_t chunk, uint32_t window) {
  RowChunks::Slots slots[kTileQueries];
  uint32_t begin = UINT32_MAX, end = 0;
  for (size_t r = 0; r < rows.size(); ++r) {
    slots[r] = {0, 0};
    if (chunk >= rows[r]->chunk_count()) continue;
    slots[r] = chunks.slots(*rows[r], chunk);
    begin = std::min(begin, slots[r].begin / kPageTokens);
    end = std::max(end, (slots[r].end - 1) / kPageTokens + 1);
  }
  page_count_ = 0;
  for (uint32_t page = begin; page < end; ++page) {
    uint32_t any = 0;
    for (size_t r = 0; r < rows.size(); ++r) {
      const RowChunks::PageBits bits = chunks.bits(*rows[r], slots[r], window, page);
      members_[r * kPagesMax + page_count_] = bits.members;
      visible_[r * kPagesMax + page_count_] = bits.visible;
      any |= bits.members;
    }
    pages_[page_count_] = page;
    page_count_ += any != 0 ? 1 : 0;
  }
}

}  // namespace pie::exec
