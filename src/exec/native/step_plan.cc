#include "exec/native/step_plan.h"

#include <algorithm>

#include "base/check.h"

namespace pie::exec {

using kernels::kChunkPages;
using kernels::kChunkTokens;
using kernels::kPageTokens;

namespace {

/// Slices of more tokens are prefill: their rows share chunks among themselves, block by block.
constexpr uint32_t kSmallSliceRows = 8;
/// Levels of sharing: what lies deeper is computed for each sequence alone.
constexpr uint32_t kPhasesMax = 4;

uint32_t divide_up(uint32_t a, uint32_t b) { return (a + b - 1) / b; }

/// Bits [from, to) of 16, of bounds that may lie outside.
uint16_t bits_between(int64_t from, int64_t to) {
  const int64_t first = std::clamp<int64_t>(from, 0, 16);
  const int64_t last = std::clamp<int64_t>(to, 0, 16);
  if (first >= last) return 0;
  return static_cast<uint16_t>((1U << last) - (1U << first));
}

/// First slot that the row sees in a layer with this window.
uint32_t window_start(const PlanRow& row, uint32_t window) {
  return window == 0 || row.slot < window ? 0 : row.slot - window + 1;
}

/// The pages of a chunk when the sequence has all of them, else none.
std::span<const KvPageId> full_chunk(std::span<const KvPageId> pages, uint32_t chunk) {
  const size_t first = size_t{chunk} * kChunkPages;
  if (first + kChunkPages > pages.size()) return {};
  return pages.subspan(first, kChunkPages);
}

bool is_less(std::span<const KvPageId> a, std::span<const KvPageId> b) {
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(),
                                      [](KvPageId x, KvPageId y) { return x.value < y.value; });
}

bool is_same(std::span<const KvPageId> a, std::span<const KvPageId> b) {
  return a.data() == b.data() || std::equal(a.begin(), a.end(), b.begin(), b.end());
}

}  // namespace

void AttentionPlan::clear() {
  items.clear();
  rows.clear();
  phase_ends.clear();
}

void StepPlan::build(const StepBatch& batch) {
  rows_.clear();
  parts_.clear();
  visible_.clear();
  scratch_used_ = 0;
  size_t scratch_count = 0;
  for (const StepSlice& slice : batch.slices) {
    if (slice.pages.empty())
      scratch_count += divide_up(static_cast<uint32_t>(slice.tokens.size()), kPageTokens);
  }
  while (scratch_pages_.size() < scratch_count) {
    scratch_pages_.emplace_back(first_scratch_page_ + static_cast<uint32_t>(scratch_pages_.size()));
  }
  for (const StepSlice& slice : batch.slices) {
    if (!slice.tokens.empty()) add_slice(slice);
  }
  add_outputs(batch);
  plan_attention(Rows::kAll, attention_);
  plan_attention(Rows::kOutputs, last_attention_);
}

void StepPlan::add_slice(const StepSlice& slice) {
  const auto count = static_cast<uint32_t>(slice.tokens.size());
  Part part;
  part.first_row = row_count();
  part.row_count = count;
  uint32_t before = 0;
  if (slice.pages.empty()) {
    const uint32_t used = divide_up(count, kPageTokens);
    part.pages = std::span<const KvPageId>(scratch_pages_).subspan(scratch_used_, used);
    scratch_used_ += used;
  } else {
    before = slice.context_len;
    const uint32_t used = divide_up(before + count, kPageTokens);
    PIE_CHECK(used <= slice.pages.size());
    part.pages = slice.pages.first(used);
  }
  part.slot_count = before + count;
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t slot = before + i;
    PlanRow row{&slice.tokens[i],   part.pages[slot / kPageTokens],
                slot % kPageTokens, slot,
                PlanRow::kNoMask,   slice.adapter};
    if (!slice.mask.empty()) add_mask(slice.mask[i], row);
    rows_.push_back(row);
  }
  parts_.push_back(part);
}

void StepPlan::add_mask(const MaskRuns& runs, PlanRow& row) {
  row.first_visible = static_cast<uint32_t>(visible_.size());
  visible_.resize(visible_.size() + row.slot / kPageTokens + 1, 0);
  uint16_t* words = visible_.data() + row.first_visible;
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
    if (at == end) return;
    is_attended = !is_attended;
  }
}

void StepPlan::add_outputs(const StepBatch& batch) {
  output_rows_.clear();
  is_output_.assign(rows_.size(), false);
  const auto add = [&](std::vector<uint32_t> StepSlice::* wanted) {
    uint32_t first = 0;
    for (const StepSlice& slice : batch.slices) {
      for (const uint32_t row : slice.*wanted) {
        PIE_CHECK(row < slice.tokens.size());
        output_rows_.push_back(first + row);
        is_output_[first + row] = true;
      }
      first += static_cast<uint32_t>(slice.tokens.size());
    }
  };
  add(&StepSlice::logit_rows);
  logit_count_ = static_cast<uint32_t>(output_rows_.size());
  add(&StepSlice::hidden_rows);
}

bool StepPlan::visible(const PlanRow& row, uint32_t chunk, uint32_t window, uint16_t* words) const {
  const int64_t low = window_start(row, window);
  const int64_t high = int64_t{row.slot} + 1;
  uint32_t any = 0;
  for (uint32_t p = 0; p < kChunkPages; ++p) {
    const uint32_t page = chunk * kChunkPages + p;
    const int64_t first = int64_t{page} * kPageTokens;
    uint16_t word = bits_between(low - first, high - first);
    if (word != 0 && row.first_visible != PlanRow::kNoMask) {
      word = static_cast<uint16_t>(word & visible_[row.first_visible + page]);
    }
    words[p] = word;
    any |= word;
  }
  return any != 0;
}

uint32_t StepPlan::first_chunk(const PlanRow& row, uint32_t window) {
  return window_start(row, window) / kChunkTokens;
}

void StepPlan::plan_attention(Rows which, AttentionPlan& plan) {
  plan.clear();
  target_ = &plan;
  which_ = which;
  for (std::vector<AttentionItem>& items : phases_) items.clear();
  small_.clear();
  for (Part& part : parts_) {
    if (part.row_count <= kSmallSliceRows) {
      small_.push_back(&part);
    } else {
      add_blocks(part, plan);
    }
  }
  add_group(small_, 0, 0);
  for (std::vector<AttentionItem>& items : phases_) {
    if (items.empty()) continue;
    // The longest first: what is taken last then ends together.
    std::stable_sort(items.begin(), items.end(), [](const auto& a, const auto& b) {
      return uint64_t{a.row_count} * (a.chunk_end - a.chunk_begin) >
             uint64_t{b.row_count} * (b.chunk_end - b.chunk_begin);
    });
    plan.items.insert(plan.items.end(), items.begin(), items.end());
    plan.phase_ends.push_back(static_cast<uint32_t>(plan.items.size()));
  }
}

void StepPlan::add_item(AttentionItem item, std::span<Part* const> group, uint32_t phase) {
  while (phases_.size() <= phase) phases_.emplace_back();
  std::vector<uint32_t>& rows = target_->rows;
  item.first_row = static_cast<uint32_t>(rows.size());
  const auto close = [&] {
    item.row_count = static_cast<uint32_t>(rows.size()) - item.first_row;
    if (item.row_count > 0) phases_[phase].push_back(item);
    item.first_row = static_cast<uint32_t>(rows.size());
  };
  for (const Part* part : group) {
    for (uint32_t row = part->first_row; row < part->first_row + part->row_count; ++row) {
      if (!is_wanted(row)) continue;
      rows.push_back(row);
      if (rows.size() - item.first_row == item_rows_max_) close();
    }
  }
  close();
}

void StepPlan::add_blocks(const Part& part, AttentionPlan& plan) {
  if (phases_.empty()) phases_.emplace_back();
  AttentionItem item{
      .pages = part.pages, .first_row = static_cast<uint32_t>(plan.rows.size()), .finishes = true};
  uint32_t last = 0;
  const auto close = [&] {
    item.row_count = static_cast<uint32_t>(plan.rows.size()) - item.first_row;
    item.chunk_end = rows_[last].slot / kChunkTokens + 1;
    if (item.row_count > 0) phases_[0].push_back(item);
    item.first_row = static_cast<uint32_t>(plan.rows.size());
  };
  for (uint32_t row = part.first_row; row < part.first_row + part.row_count; ++row) {
    if (!is_wanted(row)) continue;
    plan.rows.push_back(row);
    last = row;
    if (plan.rows.size() - item.first_row == item_rows_max_) close();
  }
  close();
}

void StepPlan::add_group(std::span<Part*> group, uint32_t chunk, uint32_t phase) {
  const auto add_alone = [&](Part* part) {
    add_item({.pages = part->pages,
              .chunk_begin = chunk,
              .chunk_end = divide_up(part->slot_count, kChunkTokens),
              .continues = chunk > 0,
              .finishes = true},
             {&part, 1}, phase);
  };
  if (group.size() == 1 || phase + 1 >= kPhasesMax) {
    for (Part* part : group) add_alone(part);
    return;
  }
  std::sort(group.begin(), group.end(), [&](const Part* a, const Part* b) {
    const auto pages_a = full_chunk(a->pages, chunk);
    const auto pages_b = full_chunk(b->pages, chunk);
    if (is_less(pages_a, pages_b)) return true;
    return !is_less(pages_b, pages_a) && a->first_row < b->first_row;
  });
  for (size_t begin = 0, end = 0; begin < group.size(); begin = end) {
    const auto same_as_first = [&](const Part* part, uint32_t at) {
      const auto pages = full_chunk(part->pages, at);
      return !pages.empty() && is_same(pages, full_chunk(group[begin]->pages, at));
    };
    end = begin + 1;
    while (end < group.size() && same_as_first(group[end], chunk)) ++end;
    const std::span<Part*> same = group.subspan(begin, end - begin);
    if (same.size() == 1) {
      add_alone(same[0]);
      continue;
    }
    uint32_t shared_end = chunk + 1;
    while (std::all_of(same.begin(), same.end(),
                       [&](const Part* part) { return same_as_first(part, shared_end); })) {
      ++shared_end;
    }
    add_item({.pages = same[0]->pages,
              .chunk_begin = chunk,
              .chunk_end = shared_end,
              .continues = chunk > 0},
             same, phase);
    add_group(same, shared_end, phase + 1);
  }
}

}  // namespace pie::exec
