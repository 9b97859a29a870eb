#pragma once
#include <compare>
#include <cstdint>
#include <span>
#include <vector>

#include "exec/executor.h"
#include "exec/native/row_chunks.h"

namespace pie::exec {

/// Rows that see the same pages in some successive chunks: their attention over these is computed
/// together, from chunk to chunk.
struct AttentionItem {
  std::span<const KvPageId> pages;  ///< of the sequence (of each of them) from slot 0 on
  uint32_t first_row = 0;           ///< index into AttentionPlan::rows
  uint32_t row_count = 0;
  uint32_t chunk_begin = 0, chunk_end = 0;
  bool continues = false;  ///< the rows' sums over earlier chunks are there
  bool finishes = false;   ///< no chunks follow
};

/// The attention of a layer: items of one phase are independent of each other; a phase needs the
/// sums of the one before.
struct AttentionPlan {
  std::vector<AttentionItem> items;
  std::vector<uint32_t> rows;        ///< of the step
  std::vector<uint32_t> phase_ends;  ///< indices into items

  void clear();
};

/// What a step computes, in the order of the batch. Host data only; refers to the batch. Used again
/// by the next plan, so that nothing is allocated in the long run.
class StepPlan {
 public:
  /// `item_rows_max`: rows of an item. `first_scratch_page`: of pages for slices without a cache,
  /// one for each kPageTokens of their tokens, rounded up for each slice.
  StepPlan(uint32_t item_rows_max, uint32_t first_scratch_page)
      : item_rows_max_(item_rows_max), first_scratch_page_(first_scratch_page) {}

  void build(const StepBatch& batch);

  std::span<const PlanRow> rows() const { return rows_; }
  uint32_t row_count() const { return static_cast<uint32_t>(rows_.size()); }
  uint32_t scratch_page_count() const { return scratch_used_; }
  /// Rows whose logits are asked for, then those whose hidden states are; slice by slice.
  std::span<const uint32_t> output_rows() const { return output_rows_; }
  uint32_t logit_count() const { return logit_count_; }
  const AttentionPlan& attention() const { return attention_; }
  /// Of the last layer: output rows only.
  const AttentionPlan& last_attention() const { return last_attention_; }

  /// What each row sees.
  const RowChunks& chunks() const { return chunks_; }

 private:
  struct Part {  ///< a slice
    std::span<const KvPageId> pages;
    uint32_t first_row = 0, row_count = 0;
    uint32_t chunk_count = 0;               ///< the most that a row has
    uint32_t chunks_in_place = UINT32_MAX;  ///< so many first ones are, for all rows
  };
  void add_slice(const StepSlice& slice);
  void add_outputs(const StepBatch& batch);
  enum class Rows { kAll, kOutputs };
  void plan_attention(Rows which, AttentionPlan& plan);
  bool is_wanted(uint32_t row) const { return which_ == Rows::kAll || is_output_[row]; }
  void add_blocks(const Part& part, AttentionPlan& plan);
  void add_group(std::span<Part*> group, uint32_t chunk, uint32_t phase);
  void add_item(AttentionItem item, std::span<Part* const> group, uint32_t phase);
  /// Where a chunk lies that a slice's rows have whole: slices with the same place compute it
  /// together, each row with its own mask.
  struct WholeChunk {
    uint32_t first_page = 0;
    std::span<const KvPageId> pages;  ///< none: it is not whole, or not in one place for all rows
  };
  WholeChunk whole_chunk(const Part& part, uint32_t chunk) const;
  static std::strong_ordering compare(const WholeChunk& a, const WholeChunk& b);

  const uint32_t item_rows_max_;
  const uint32_t first_scratch_page_;
  std::vector<PlanRow> rows_;
  std::vector<Part> parts_;
  RowChunks chunks_;
  std::vector<KvPageId> scratch_pages_;
  uint32_t scratch_used_ = 0;
  std::vector<uint32_t> output_rows_;
  std::vector<bool> is_output_;
  uint32_t logit_count_ = 0;
  AttentionPlan attention_, last_attention_;

  // While a plan is made:
  std::vector<Part*> small_;
  std::vector<std::vector<AttentionItem>> phases_;
  AttentionPlan* target_ = nullptr;
  Rows which_ = Rows::kAll;
};

}  // namespace pie::exec
