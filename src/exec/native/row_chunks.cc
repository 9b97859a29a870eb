#include "exec/native/row_chunks.h"

#include <algorithm>
#include <bit>

namespace pie::exec {

using kernels::kChunkPages;
using kernels::kChunkTokens;
using kernels::kPageTokens;

namespace {

/// Bits [from, to) of 16, of bounds that may lie outside.
uint16_t bits_between(int64_t from, int64_t to) {
  const int64_t first = std::clamp<int64_t>(from, 0, 16);
  const int64_t last = std::clamp<int64_t>(to, 0, 16);
  if (first >= last) return 0;
  return static_cast<uint16_t>((1U << last) - (1U << first));
}

/// Index of the bit before which `count` bits are set.
uint32_t nth_bit(uint32_t word, uint32_t count) {
  for (; count > 0; --count) word &= word - 1;
  return static_cast<uint32_t>(std::countr_zero(word));
}

/// First slot that the row sees in a layer with this window.
uint32_t window_start(const PlanRow& row, uint32_t window) {
  return window == 0 || row.slot < window ? 0 : row.slot - window + 1;
}

}  // namespace

void RowChunks::clear() {
  words_.clear();
  ends_.clear();
}

void RowChunks::add_mask(const MaskRuns& runs, PlanRow& row) {
  row.first_word = static_cast<uint32_t>(words_.size());
  words_.resize(words_.size() + row.slot / kPageTokens + 1, 0);
  uint16_t* words = words_.data() + row.first_word;
  const int64_t end = int64_t{row.slot} + 1;
  int64_t at = 0;
  bool is_attended = true;
  for (const uint32_t run : runs) {
    const int64_t run_end = std::min<int64_t>(at + run, end);
    for (int64_t page = at / kPageTokens; is_attended && page * kPageTokens < run_end; ++page) {
      words[page] = static_cast<uint16_t>(
          words[page] | bits_between(at - page * kPageTokens, run_end - page * kPageTokens));
    }
    at = run_end;
    if (at == end) break;
    is_attended = !is_attended;
  }
  add_ends(row);
}

/// A row that sees all is one without a mask.
void RowChunks::add_ends(PlanRow& row) {
  row.first_end = static_cast<uint32_t>(ends_.size());
  uint32_t count = 0, end = 0;
  for (uint32_t page = 0; page <= row.slot / kPageTokens; ++page) {
    const uint32_t word = words_[row.first_word + page];
    if (word == 0) continue;
    const auto more = static_cast<uint32_t>(std::popcount(word));
    const uint32_t missing = kChunkTokens - count % kChunkTokens;
    if (more >= missing) ends_.push_back(page * kPageTokens + nth_bit(word, missing - 1) + 1);
    count += more;
    end = page * kPageTokens + static_cast<uint32_t>(std::bit_width(word));
  }
  if (count % kChunkTokens != 0) ends_.push_back(end);
  row.attended = count;
  if (count != row.slot + 1) return;
  words_.resize(row.first_word);
  ends_.resize(row.first_end);
  row.first_word = PlanRow::kNoHole;
}

uint32_t RowChunks::end(const PlanRow& row, uint32_t chunk) const {
  return row.has_holes() ? ends_[row.first_end + chunk]
                         : std::min((chunk + 1) * kChunkTokens, row.attended);
}

/// No hole comes before its end: its last slot is where its rank says.
bool RowChunks::is_in_place(const PlanRow& row, uint32_t chunk) const {
  return end(row, chunk) == std::min((chunk + 1) * kChunkTokens, row.attended);
}

uint32_t RowChunks::in_place(const PlanRow& row) const {
  if (!row.has_holes()) return UINT32_MAX;
  uint32_t count = 0;
  while (count < row.chunk_count() && is_in_place(row, count)) ++count;
  return count == row.chunk_count() ? UINT32_MAX : count;
}

RowChunks::Sight RowChunks::sight(const PlanRow& row, uint32_t chunk, uint32_t window,
                                  uint16_t* words) const {
  const uint32_t start = window_start(row, window);
  const uint32_t stop = chunk < row.chunk_count() ? end(row, chunk) : 0;
  if (stop > start && !is_in_place(row, chunk)) return Sight::kScattered;
  for (uint32_t p = 0; p < kChunkPages; ++p) {
    const int64_t first = int64_t{chunk} * kChunkTokens + p * kPageTokens;
    words[p] = bits_between(start - first, stop - first);
  }
  return stop > start ? Sight::kInPlace : Sight::kNothing;
}

RowChunks::Slots RowChunks::slots(const PlanRow& row, uint32_t chunk) const {
  return {chunk == 0 ? 0 : end(row, chunk - 1), end(row, chunk)};
}

RowChunks::PageBits RowChunks::bits(const PlanRow& row, Slots chunk, uint32_t window,
                                    uint32_t page) const {
  const int64_t first = int64_t{page} * kPageTokens;
  uint16_t members = bits_between(chunk.begin - first, chunk.end - first);
  if (members != 0 && row.has_holes())
    members = static_cast<uint16_t>(members & words_[row.first_word + page]);
  const uint16_t seen = bits_between(window_start(row, window) - first, kPageTokens);
  return {members, static_cast<uint16_t>(members & seen)};
}

uint32_t RowChunks::first_chunk(const PlanRow& row, uint32_t window) const {
  const uint32_t start = window_start(row, window);
  if (!row.has_holes()) return start / kChunkTokens;
  const auto first = ends_.begin() + row.first_end;
  return static_cast<uint32_t>(std::upper_bound(first, first + row.chunk_count(), start) - first);
}

}  // namespace pie::exec
