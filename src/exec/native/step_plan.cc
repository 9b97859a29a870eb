#include "exec/native/step_plan.h"

#include <algorithm>

#include "base/check.h"

namespace pie::exec {

using kernels::kChunkPages;
using kernels::kPageTokens;

namespace {

/// Slices of more tokens are prefill: their rows share chunks among themselves, block by block.
constexpr uint32_t kSmallSliceRows = 8;
/// Levels of sharing: what lies deeper is computed for each sequence alone.
constexpr uint32_t kPhasesMax = 4;

uint32_t divide_up(uint32_t a, uint32_t b) { return (a + b - 1) / b; }

}  // namespace

void AttentionPlan::clear() {
  items.clear();
  rows.clear();
  phase_ends.clear();
}

void StepPlan::build(const StepBatch& batch) {
  rows_.clear();
  parts_.clear();
  chunks_.clear();
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
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t slot = before + i;
    PlanRow row{.token = &slice.tokens[i],
                .page = part.pages[slot / kPageTokens],
                .page_slot = slot % kPageTokens,
                .slot = slot,
                .attended = slot + 1,
                .adapter = slice.adapter};
    if (!slice.mask.empty()) chunks_.add_mask(slice.mask[i], row);
    part.chunk_count = std::max(part.chunk_count, row.chunk_count());
    part.chunks_in_place = std::min(part.chunks_in_place, chunks_.in_place(row));
    rows_.push_back(row);
  }
  parts_.push_back(part);
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
  const auto close = [&] {
    item.row_count = static_cast<uint32_t>(plan.rows.size()) - item.first_row;
    if (item.row_count > 0) phases_[0].push_back(item);
    item.first_row = static_cast<uint32_t>(plan.rows.size());
    item.chunk_end = 0;
  };
  for (uint32_t row = part.first_row; row < part.first_row + part.row_count; ++row) {
    if (!is_wanted(row)) continue;
    plan.rows.push_back(row);
    item.chunk_end = std::max(item.chunk_end, rows_[row].chunk_count());
    if (plan.rows.size() - item.first_row == item_rows_max_) close();
  }
  close();
}

StepPlan::WholeChunk StepPlan::whole_chunk(const Part& part, uint32_t chunk) const {
  if (chunk < part.chunks_in_place) {
    const uint32_t first = chunk * kChunkPages;
    if (first + kChunkPages > part.pages.size()) return {};
    return {first, part.pages.subspan(first, kChunkPages)};
  }
  // Rows of one slice have masks of their own.
  const PlanRow& row = rows_[part.first_row];
  if (part.row_count > 1 || row.attended < (chunk + 1) * kernels::kChunkTokens) return {};
  const RowChunks::Slots slots = chunks_.slots(row, chunk);
  const uint32_t first = slots.begin / kPageTokens;
  return {first, part.pages.subspan(first, (slots.end - 1) / kPageTokens + 1 - first)};
}

std::strong_ordering StepPlan::compare(const WholeChunk& a, const WholeChunk& b) {
  if (a.first_page != b.first_page) return a.first_page <=> b.first_page;
  return std::lexicographical_compare_three_way(
      a.pages.begin(), a.pages.end(), b.pages.begin(), b.pages.end(),
      [](KvPageId x, KvPageId y) { return x.value <=> y.value; });
}

void StepPlan::add_group(std::span<Part*> group, uint32_t chunk, uint32_t phase) {
  const auto add_alone = [&](Part* part) {
    add_item({.pages = part->pages,
              .chunk_begin = chunk,
              .chunk_end = std::max(chunk, part->chunk_count),
              .continues = chunk > 0,
              .finishes = true},
             {&part, 1}, phase);
  };
  if (group.size() == 1 || phase + 1 >= kPhasesMax) {
    for (Part* part : group) add_alone(part);
    return;
  }
  std::sort(group.begin(), group.end(), [&](const Part* a, const Part* b) {
    const auto order = compare(whole_chunk(*a, chunk), whole_chunk(*b, chunk));
    return order != 0 ? order < 0 : a->first_row < b->first_row;
  });
  for (size_t begin = 0, end = 0; begin < group.size(); begin = end) {
    const auto same_as_first = [&](const Part* part, uint32_t at) {
      const WholeChunk of_part = whole_chunk(*part, at);
      return !of_part.pages.empty() && compare(of_part, whole_chunk(*group[begin], at)) == 0;
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
