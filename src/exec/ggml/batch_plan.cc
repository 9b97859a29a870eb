#include "exec/ggml/batch_plan.h"

#include <algorithm>
#include <tuple>

namespace pie::exec {
namespace {

constexpr uint16_t kMinusInfinity = 0xFC00;  // IEEE 754 binary16

/// A slice with what grouping needs to know.
struct Entry {
  const StepSlice* slice = nullptr;
  uint32_t index = 0;  ///< in the batch
  uint32_t kv_len = 0;
  uint32_t page_count = 0;  ///< 0 = looked at in place
  uint64_t first_slot = 0;
  uint32_t first_row = 0;
};

bool is_consecutive(std::span<const KvPageId> pages) {
  for (size_t i = 1; i < pages.size(); ++i) {
    if (pages[i].value != pages[i - 1].value + 1) return false;
  }
  return true;
}

std::vector<Entry> list_entries(const StepBatch& batch, const PoolLayout& layout) {
  std::vector<Entry> entries;
  uint64_t scratch = layout.scratch_slot;
  for (uint32_t i = 0; i < batch.slices.size(); ++i) {
    const StepSlice& slice = batch.slices[i];
    if (slice.tokens.empty()) continue;
    const auto token_count = static_cast<uint32_t>(slice.tokens.size());
    Entry entry{.slice = &slice, .index = i, .kv_len = token_count};
    if (slice.pages.empty()) {
      entry.first_slot = scratch;
      scratch += token_count;
    } else {
      entry.kv_len += slice.context_len;
      const uint32_t used = (entry.kv_len + layout.page_size - 1) / layout.page_size;
      PIE_CHECK(used <= slice.pages.size());
      const auto pages = slice.pages.first(used);
      if (is_consecutive(pages)) {
        entry.first_slot = uint64_t{pages[0].value} * layout.page_size;
      } else {
        entry.page_count = used;
      }
    }
    entries.push_back(entry);
  }
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::tuple(a.slice->tokens.size(), a.page_count) <
           std::tuple(b.slice->tokens.size(), b.page_count);
  });
  return entries;
}

/// Whether a slice may join the group that `first` opened.
bool can_join(const Entry& first, const Entry& next, uint32_t group_size, uint32_t page_size,
              uint32_t gather_slots_max) {
  if (first.page_count == 0 || next.page_count == 0) return false;
  if (first.slice->tokens.size() != next.slice->tokens.size()) return false;
  // Sorted by page count: the joining slice decides the padding of all.
  if (next.page_count > first.page_count + first.page_count / 4 + 1) return false;
  return uint64_t{group_size + 1} * next.page_count * page_size <= gather_slots_max;
}

void add_rows(Entry& entry, const PoolLayout& layout, BatchPlan& plan) {
  const StepSlice& slice = *entry.slice;
  entry.first_row = plan.row_count();
  for (uint32_t i = 0; i < slice.tokens.size(); ++i) {
    const StepToken& token = slice.tokens[i];
    if (token.embedding != nullptr) {
      plan.embedding_rows.push_back(plan.row_count());
      plan.embeddings.push_back(token.embedding);
    }
    plan.ids.push_back(token.embedding != nullptr ? 0 : static_cast<int32_t>(token.id));
    plan.positions.push_back(static_cast<int32_t>(token.position));
    if (entry.page_count == 0) {
      const uint32_t before = slice.pages.empty() ? 0 : slice.context_len;
      plan.slots.push_back(static_cast<int64_t>(entry.first_slot + before + i));
    } else {
      const uint32_t slot = slice.context_len + i;
      plan.slots.push_back(static_cast<int64_t>(
          uint64_t{slice.pages[slot / layout.page_size].value} * layout.page_size +
          slot % layout.page_size));
    }
  }
}

/// One row of a mask that is minus infinity everywhere: opens what the runs attend to among the
/// first `visible` slots.
void open_mask_row(std::span<uint16_t> row, uint32_t visible, const MaskRuns* runs) {
  if (runs == nullptr) {
    std::fill_n(row.begin(), visible, uint16_t{0});
    return;
  }
  uint64_t at = 0;
  bool is_attended = true;
  for (const uint32_t run : *runs) {
    const uint64_t end = std::min<uint64_t>(at + run, visible);
    if (is_attended)
      std::fill(row.begin() + static_cast<ptrdiff_t>(at), row.begin() + static_cast<ptrdiff_t>(end),
                uint16_t{0});
    at = end;
    if (at == visible) return;
    is_attended = !is_attended;
  }
}

void add_mask(std::span<const Entry> entries, AttentionGroup& group, BatchPlan& plan) {
  group.has_mask = group.slice_rows > 1;
  for (const Entry& entry : entries) {
    group.has_mask = group.has_mask || !entry.slice->mask.empty() || entry.kv_len != group.kv_len;
  }
  if (!group.has_mask) return;
  group.first_mask = plan.mask.size();
  const uint64_t size = uint64_t{group.slice_count} * group.slice_rows * group.kv_len;
  plan.mask.resize(plan.mask.size() + size, kMinusInfinity);
  uint16_t* row = plan.mask.data() + group.first_mask;
  for (const Entry& entry : entries) {
    const uint32_t before = entry.kv_len - group.slice_rows;
    for (uint32_t i = 0; i < group.slice_rows; ++i, row += group.kv_len) {
      const MaskRuns* runs = entry.slice->mask.empty() ? nullptr : &entry.slice->mask[i];
      open_mask_row({row, group.kv_len}, before + i + 1, runs);
    }
  }
}

void add_group(std::span<Entry> entries, const PoolLayout& layout, BatchPlan& plan) {
  AttentionGroup group;
  group.first_row = plan.row_count();
  group.slice_count = static_cast<uint32_t>(entries.size());
  group.slice_rows = static_cast<uint32_t>(entries[0].slice->tokens.size());
  group.is_contiguous = entries[0].page_count == 0;
  group.first_slot = entries[0].first_slot;
  group.page_count = entries.back().page_count;
  group.first_page = plan.pages.size();
  for (Entry& entry : entries) {
    group.kv_len = std::max(group.kv_len, entry.kv_len);
    add_rows(entry, layout, plan);
    for (uint32_t i = 0; i < group.page_count; ++i) {
      const uint32_t page = i < entry.page_count ? entry.slice->pages[i].value : layout.zero_page;
      plan.pages.push_back(static_cast<int32_t>(page));
    }
  }
  add_mask(entries, group, plan);
  plan.groups.push_back(group);
}

/// Outputs in the caller's order of slices.
void add_outputs(std::vector<Entry>& entries, BatchPlan& plan) {
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.index < b.index; });
  for (const Entry& entry : entries) {
    for (const uint32_t row : entry.slice->logit_rows) {
      PIE_CHECK(row < entry.slice->tokens.size());
      plan.output_rows.push_back(static_cast<int32_t>(entry.first_row + row));
    }
  }
  plan.logit_count = static_cast<uint32_t>(plan.output_rows.size());
  for (const Entry& entry : entries) {
    for (const uint32_t row : entry.slice->hidden_rows) {
      PIE_CHECK(row < entry.slice->tokens.size());
      plan.output_rows.push_back(static_cast<int32_t>(entry.first_row + row));
    }
  }
}

}  // namespace

BatchPlan plan_batch(const StepBatch& batch, const PoolLayout& layout, uint32_t gather_slots_max) {
  BatchPlan plan;
  std::vector<Entry> entries = list_entries(batch, layout);
  for (size_t begin = 0; begin < entries.size();) {
    size_t end = begin + 1;
    while (end < entries.size() &&
           can_join(entries[begin], entries[end], static_cast<uint32_t>(end - begin),
                    layout.page_size, gather_slots_max)) {
      ++end;
    }
    add_group(std::span(entries).subspan(begin, end - begin), layout, plan);
    begin = end;
  }
  add_outputs(entries, plan);
  return plan;
}

}  // namespace pie::exec
