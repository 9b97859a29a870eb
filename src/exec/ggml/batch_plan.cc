#include "exec/ggml/batch_plan.h"

#include <algorithm>
#include <tuple>

namespace pie::exec {
namespace {

constexpr uint16_t kMinusInfinity = 0xFC00;  // IEEE 754 binary16

/// A slice with what grouping needs to know.
struct BatchEntry {
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

std::vector<BatchEntry> list_entries(const StepBatch& batch, const PoolLayout& layout) {
  std::vector<BatchEntry> entries;
  uint64_t scratch = layout.scratch_slot;
  for (uint32_t i = 0; i < batch.slices.size(); ++i) {
    const StepSlice& slice = batch.slices[i];
    if (slice.tokens.empty()) continue;
    const auto token_count = static_cast<uint32_t>(slice.tokens.size());
    BatchEntry entry{.slice = &slice, .index = i, .kv_len = token_count};
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
  std::stable_sort(entries.begin(), entries.end(), [](const BatchEntry& a, const BatchEntry& b) {
    return std::tuple(a.slice->tokens.size(), a.page_count) <
           std::tuple(b.slice->tokens.size(), b.page_count);
  });
  return entries;
}

/// Whether a slice may join the group that `first` opened.
bool can_join(const BatchEntry& first, const BatchEntry& next, uint32_t group_size,
              uint32_t page_size, uint32_t gather_slots_max) {
  if (first.page_count == 0 || next.page_count == 0) return false;
  if (first.slice->tokens.size() != next.slice->tokens.size()) return false;
  // Sorted by page count: the joining slice decides the padding of all.
  if (next.page_count > first.page_count + first.page_count / 4 + 1) return false;
  return uint64_t{group_size + 1} * next.page_count * page_size <= gather_slots_max;
}

/// One more row, behind those that are listed.
void add_adapted(const model::Adapter* adapter, uint32_t row, std::vector<AdaptedRows>& adapted) {
  if (adapter == nullptr) return;
  if (!adapted.empty() && adapted.back().adapter == adapter &&
      adapted.back().first_row + adapted.back().row_count == row) {
    ++adapted.back().row_count;
  } else {
    adapted.push_back({adapter, row, 1});
  }
}

void add_rows(BatchEntry& entry, const PoolLayout& layout, BatchPlan& plan) {
  const StepSlice& slice = *entry.slice;
  entry.first_row = plan.row_count();
  for (uint32_t i = 0; i < slice.tokens.size(); ++i) {
    const StepToken& token = slice.tokens[i];
    add_adapted(slice.adapter, plan.row_count(), plan.adapted);
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

/// Opens slots [from, to) of a mask row whose first element is slot `start`.
void open_slots(std::span<uint16_t> row, uint32_t start, uint64_t from, uint64_t to) {
  from = std::max<uint64_t>(from, start);
  if (from < to)
    std::fill_n(row.begin() + static_cast<ptrdiff_t>(from - start), to - from, uint16_t{0});
}

/// One row of a mask that is minus infinity everywhere and begins at slot `start`: opens those of
/// the slots [low, high) that the runs attend to.
void open_mask_row(std::span<uint16_t> row, uint32_t start, uint32_t low, uint32_t high,
                   const MaskRuns* runs) {
  if (runs == nullptr) return open_slots(row, start, low, high);
  uint64_t at = 0;
  bool is_attended = true;
  for (const uint32_t run : *runs) {
    const uint64_t end = std::min<uint64_t>(at + run, high);
    if (is_attended) open_slots(row, start, std::max<uint64_t>(at, low), end);
    at = end;
    if (at == high) return;
    is_attended = !is_attended;
  }
}

/// The first slot that the row in slot `slot` sees.
uint32_t window_start(uint32_t slot, uint32_t window) {
  return window == 0 || slot < window ? 0 : slot - window + 1;
}

/// The mask of a group's span. `starts`: the slot of each slice that its span begins with.
void add_mask(std::span<const BatchEntry> entries, std::span<const uint32_t> starts,
              uint32_t window, uint32_t slice_rows, AttentionSpan& span, BatchPlan& plan) {
  span.has_mask = slice_rows > 1;
  for (size_t i = 0; i < entries.size(); ++i) {
    const BatchEntry& entry = entries[i];
    span.has_mask = span.has_mask || !entry.slice->mask.empty() ||
                    entry.kv_len - starts[i] != span.kv_len ||
                    window_start(entry.kv_len - slice_rows, window) != starts[i];
  }
  if (!span.has_mask) return;
  span.first_mask = plan.mask.size();
  const uint64_t size = uint64_t{entries.size()} * slice_rows * span.kv_len;
  plan.mask.resize(plan.mask.size() + size, kMinusInfinity);
  uint16_t* row = plan.mask.data() + span.first_mask;
  for (size_t i = 0; i < entries.size(); ++i) {
    const uint32_t before = entries[i].kv_len - slice_rows;
    for (uint32_t r = 0; r < slice_rows; ++r, row += span.kv_len) {
      const MaskRuns* runs = entries[i].slice->mask.empty() ? nullptr : &entries[i].slice->mask[r];
      open_mask_row({row, span.kv_len}, starts[i], window_start(before + r, window), before + r + 1,
                    runs);
    }
  }
}

/// What a layer with this window (0 = none) looks at.
AttentionSpan add_span(std::span<const BatchEntry> entries, const PoolLayout& layout,
                       uint32_t window, BatchPlan& plan) {
  const auto slice_rows = static_cast<uint32_t>(entries[0].slice->tokens.size());
  const bool is_contiguous = entries[0].page_count == 0;
  AttentionSpan span;
  std::vector<uint32_t> starts;
  for (const BatchEntry& entry : entries) {
    uint32_t start = window_start(entry.kv_len - slice_rows, window);
    if (!is_contiguous) start -= start % layout.page_size;
    starts.push_back(start);
    span.kv_len = std::max(span.kv_len, entry.kv_len - start);
  }
  span.first_slot = entries[0].first_slot + starts[0];
  span.first_page = plan.pages.size();
  if (!is_contiguous) span.page_count = (span.kv_len + layout.page_size - 1) / layout.page_size;
  for (size_t i = 0; i < entries.size() && !is_contiguous; ++i) {
    const uint32_t first = starts[i] / layout.page_size;
    for (uint32_t page = first; page < first + span.page_count; ++page) {
      plan.pages.push_back(static_cast<int32_t>(
          page < entries[i].page_count ? entries[i].slice->pages[page].value : layout.zero_page));
    }
  }
  add_mask(entries, starts, window, slice_rows, span, plan);
  return span;
}

void add_group(std::span<BatchEntry> entries, const PoolLayout& layout, uint32_t window,
               BatchPlan& plan) {
  AttentionGroup group;
  group.first_row = plan.row_count();
  group.slice_count = static_cast<uint32_t>(entries.size());
  group.slice_rows = static_cast<uint32_t>(entries[0].slice->tokens.size());
  group.is_contiguous = entries[0].page_count == 0;
  for (BatchEntry& entry : entries) add_rows(entry, layout, plan);
  group.all = add_span(entries, layout, 0, plan);
  group.windowed = group.all;
  if (window != 0 && group.all.kv_len > window)
    group.windowed = add_span(entries, layout, window, plan);
  plan.groups.push_back(group);
}

/// Outputs in the caller's order of slices.
void add_outputs(std::vector<BatchEntry>& entries, BatchPlan& plan) {
  std::sort(entries.begin(), entries.end(),
            [](const BatchEntry& a, const BatchEntry& b) { return a.index < b.index; });
  const auto add = [&](const BatchEntry& entry, uint32_t row) {
    PIE_CHECK(row < entry.slice->tokens.size());
    add_adapted(entry.slice->adapter, static_cast<uint32_t>(plan.output_rows.size()),
                plan.adapted_outputs);
    plan.output_rows.push_back(static_cast<int32_t>(entry.first_row + row));
  };
  for (const BatchEntry& entry : entries) {
    for (const uint32_t row : entry.slice->logit_rows) add(entry, row);
  }
  plan.logit_count = static_cast<uint32_t>(plan.output_rows.size());
  for (const BatchEntry& entry : entries) {
    for (const uint32_t row : entry.slice->hidden_rows) add(entry, row);
  }
}

}  // namespace

BatchPlan plan_batch(const StepBatch& batch, const PoolLayout& layout, uint32_t gather_slots_max,
                     uint32_t window) {
  BatchPlan plan;
  std::vector<BatchEntry> entries = list_entries(batch, layout);
  for (size_t begin = 0; begin < entries.size();) {
    size_t end = begin + 1;
    while (end < entries.size() &&
           can_join(entries[begin], entries[end], static_cast<uint32_t>(end - begin),
                    layout.page_size, gather_slots_max)) {
      ++end;
    }
    add_group(std::span(entries).subspan(begin, end - begin), layout, window, plan);
    begin = end;
  }
  add_outputs(entries, plan);
  return plan;
}

}  // namespace pie::exec
