#include "exec/native/attention_step.h"

#include <algorithm>
#include <cstring>

namespace pie::exec {

using kernels::kChunkPages;
using kernels::kChunkTokens;
using kernels::kPageTokens;
using kernels::kTileQueries;

namespace {
constexpr uint32_t kItemQueries = 48;
}

uint32_t AttentionStep::item_rows_max(const model::Architecture& a) {
  return std::max(1U, kItemQueries / (a.head_count / a.kv_head_count));
}

AttentionStep::AttentionStep(const model::Architecture& a, const KvPages& pages, kernels::Isa isa,
                             uint32_t rows_max, uint32_t thread_count)
    : pages_(pages),
      shape_(pages.shape()),
      kernels_(kernels::attention_kernels(isa, shape_.format)),
      head_count_(a.head_count),
      kv_head_count_(a.kv_head_count),
      group_(a.head_count / a.kv_head_count),
      kept_sums_(size_t{rows_max} * a.head_count * shape_.partial_size() * sizeof(float)),
      scratch_(thread_count) {
  const uint32_t rows = item_rows_max(a);
  const size_t queries = size_t{rows} * group_;
  for (Scratch& s : scratch_) {
    const size_t sums = queries * shape_.partial_size();
    const size_t packed = (queries * shape_.key_size + 15) / 16 * 16;
    s.memory = Mapping((sums + packed + kTileQueries * shape_.partial_size()) * sizeof(float));
    s.sums = s.memory.as<float>();
    s.packed = s.sums + sums;
    s.partials = s.packed + packed;
    s.visible.resize(size_t{rows} * kChunkPages);
    s.sees.resize(rows);
    s.queries.resize(queries);
  }
}

void AttentionStep::run(Team& team, const StepPlan& plan, const AttentionPlan& attention,
                        uint32_t layer, uint32_t window, const AttentionBuffers& buffers) {
  uint32_t begin = 0;
  for (const uint32_t end : attention.phase_ends) {
    if (begin > 0) team.meet();
    const uint32_t tasks = (end - begin) * kv_head_count_;
    for (;;) {
      const auto [at, stop] = team.take(tasks, 1);
      if (at == stop) break;
      compute({plan, attention, attention.items[begin + at / kv_head_count_], layer, window,
               at % kv_head_count_, buffers, scratch_[team.index()]});
    }
    begin = end;
  }
}

void AttentionStep::compute(const Task& task) {
  const AttentionItem& item = task.item;
  Scratch& scratch = task.scratch;
  const size_t sum_size = shape_.partial_size();
  const uint32_t count = item.row_count * group_;
  const auto row_of = [&](uint32_t query) {
    return task.attention.rows[item.first_row + query / group_];
  };
  const auto head_of = [&](uint32_t query) { return task.kv_head * group_ + query % group_; };
  uint32_t first_chunk = UINT32_MAX;
  for (uint32_t i = 0; i < count; ++i) {
    scratch.queries[i] = task.buffers.queries + row_of(i) * task.buffers.query_stride +
                         size_t{head_of(i)} * shape_.key_size;
    float* sum = scratch.sums + i * sum_size;
    if (item.continues) {
      std::memcpy(sum, kept_sum(row_of(i), head_of(i)), sum_size * sizeof(float));
    } else {
      kernels::clear_partial(sum);
    }
    first_chunk =
        std::min(first_chunk, StepPlan::first_chunk(task.plan.rows()[row_of(i)], task.window));
  }
  kernels_.pack_queries(shape_, scratch.queries.data(), count, scratch.packed);
  for (uint32_t c = std::max(item.chunk_begin, first_chunk); c < item.chunk_end; ++c) {
    if (find_visible(task, c)) add_chunk(task, c);
  }
  for (uint32_t i = 0; i < count; ++i) {
    const float* sum = scratch.sums + i * sum_size;
    if (item.finishes) {
      kernels_.finish(shape_, sum,
                      task.buffers.results +
                          (size_t{row_of(i)} * head_count_ + head_of(i)) * shape_.value_size);
    } else {
      std::memcpy(kept_sum(row_of(i), head_of(i)), sum, sum_size * sizeof(float));
    }
  }
}

/// What the item's rows see of a chunk; false when none sees anything.
bool AttentionStep::find_visible(const Task& task, uint32_t chunk) {
  bool any = false;
  for (uint32_t i = 0; i < task.item.row_count; ++i) {
    const PlanRow& row = task.plan.rows()[task.attention.rows[task.item.first_row + i]];
    const bool sees = task.plan.visible(row, chunk, task.window,
                                        task.scratch.visible.data() + size_t{i} * kChunkPages);
    task.scratch.sees[i] = sees ? 1 : 0;
    any = any || sees;
  }
  return any;
}

void AttentionStep::add_chunk(const Task& task, uint32_t chunk) {
  Scratch& scratch = task.scratch;
  const std::byte* pages[kChunkPages];
  const size_t first = size_t{chunk} * kChunkPages;
  const auto page_count =
      static_cast<uint32_t>(std::min<size_t>(kChunkPages, task.item.pages.size() - first));
  for (uint32_t p = 0; p < page_count; ++p) {
    pages[p] = pages_.head(task.item.pages[first + p], task.layer, task.kv_head);
  }
  const uint32_t count = task.item.row_count * group_;
  uint32_t at = 0;
  for (uint32_t tile; (tile = kernels::next_tile(count - at)) > 0; at += tile) {
    const uint16_t* visible[kTileQueries];
    float* partials[kTileQueries];
    bool any = false;
    for (uint32_t t = 0; t < tile; ++t) {
      const uint32_t row = (at + t) / group_;
      visible[t] = scratch.visible.data() + size_t{row} * kChunkPages;
      partials[t] = scratch.partials + t * shape_.partial_size();
      any = any || scratch.sees[row] != 0;
    }
    if (!any) continue;
    kernels_.attend(shape_, {pages, page_count, tile, scratch.packed + size_t{at} * shape_.key_size,
                             visible, partials});
    for (uint32_t t = 0; t < tile; ++t) {
      kernels_.merge(shape_, scratch.sums + size_t{at + t} * shape_.partial_size(), partials[t]);
    }
  }
}

}  // namespace pie::exec
