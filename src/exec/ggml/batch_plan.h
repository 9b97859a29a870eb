#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "exec/executor.h"

namespace pie::exec {

/// Where slots lie in the pool that a plan is made for.
struct PoolLayout {
  uint32_t page_size = 0;
  uint32_t zero_page = 0;     ///< a page that is never written: fills up short page tables
  uint64_t scratch_slot = 0;  ///< first of step_tokens_max slots for slices without a cache
};

/// The slots of a group that a layer looks at.
struct AttentionSpan {
  uint32_t kv_len = 0;      ///< slots of each slice
  uint64_t first_slot = 0;  ///< contiguous: the first of them in the pool
  uint32_t page_count = 0;  ///< gathered: pages of each slice
  uint64_t first_page = 0;  ///< gathered: index into BatchPlan::pages
  bool has_mask = false;
  uint64_t first_mask = 0;  ///< index into BatchPlan::mask; [slice_count, slice_rows, kv_len]
};

/// Slices whose attention is computed together: same number of tokens each, one of the two sources.
struct AttentionGroup {
  uint32_t first_row = 0;  ///< of the step; the slices' rows follow each other
  uint32_t slice_count = 0;
  uint32_t slice_rows = 0;  ///< tokens of each slice
  bool is_contiguous = false;
  AttentionSpan all;       ///< of layers without a window
  AttentionSpan windowed;  ///< of layers with one; starts where the first row's window does
};

/// Rows that follow each other and are computed under one adapter.
struct AdaptedRows {
  const model::Adapter* adapter = nullptr;
  uint32_t first_row = 0, row_count = 0;
};

/// A step's tokens in the order in which they are computed, and everything that a graph takes as
/// input. Host data only.
struct BatchPlan {
  std::vector<int32_t> ids;        ///< per row; 0 where an embedding is given
  std::vector<int32_t> positions;  ///< per row
  std::vector<int64_t> slots;      ///< per row: where its K and V go
  std::vector<int64_t> embedding_rows;
  std::vector<const float*> embeddings;  ///< per embedding row
  std::vector<int32_t> output_rows;      ///< logit rows, then hidden rows
  uint32_t logit_count = 0;
  std::vector<AttentionGroup> groups;
  std::vector<int32_t> pages;
  std::vector<AdaptedRows> adapted;          ///< of all rows
  std::vector<AdaptedRows> adapted_outputs;  ///< of output_rows
  std::vector<uint16_t> mask;                ///< F16: 0 or minus infinity

  uint32_t row_count() const { return static_cast<uint32_t>(ids.size()); }
};

/// Orders and groups the slices of a batch. Slices in consecutive pages are looked at in place;
/// others of like length share a group, up to `gather_slots_max` gathered slots. `window`: slots
/// that a row of a windowed layer sees, 0 = the model has no such layer.
BatchPlan plan_batch(const StepBatch& batch, const PoolLayout& layout, uint32_t gather_slots_max,
                     uint32_t window);

}  // namespace pie::exec
