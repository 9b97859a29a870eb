#pragma once
#include <cstdint>
#include <vector>

#include "base/thread_pool.h"
#include "exec/native/kv_pages.h"
#include "exec/native/step_plan.h"
#include "kernels/attention.h"
#include "model/architecture.h"

namespace pie::exec {

/// What a layer's attention reads and writes.
struct AttentionBuffers {
  const float* queries = nullptr;  ///< f32: row r, head h at queries + r * stride + h * key_size
  size_t query_stride = 0;
  float* results = nullptr;  ///< f32 [rows, head_count * value_size]
};

/// Runs the attention of one layer over a plan, on the threads of a team.
class AttentionStep {
 public:
  AttentionStep(const model::Architecture& architecture, const KvPages& pages, kernels::Isa isa,
                uint32_t rows_max, uint32_t thread_count);

  /// Rows of an item: enough queries to use each load of K and V often, few enough for the caches.
  static uint32_t item_rows_max(const model::Architecture& architecture);

  /// Every thread of the team calls it; the results are there when the team meets next.
  void run(Team& team, const StepPlan& plan, const AttentionPlan& attention, uint32_t layer,
           uint32_t window, const AttentionBuffers& buffers);

 private:
  struct Scratch {
    Mapping memory;
    float* packed = nullptr;        ///< [queries, key_size]
    float* sums = nullptr;          ///< [queries, partial_size]
    float* partials = nullptr;      ///< [kTileQueries, partial_size]
    std::vector<uint16_t> visible;  ///< [rows of an item, kChunkPages]
    std::vector<uint8_t> sees;      ///< [rows of an item]
    std::vector<const float*> queries;
  };
  struct Task {
    const StepPlan& plan;
    const AttentionPlan& attention;
    const AttentionItem& item;
    uint32_t layer, window, kv_head;
    const AttentionBuffers& buffers;
    Scratch& scratch;
  };
  void compute(const Task& task);
  bool find_visible(const Task& task, uint32_t chunk);
  void add_chunk(const Task& task, uint32_t chunk);
  float* kept_sum(uint32_t row, uint32_t head) {
    return kept_sums_.as<float>() + (size_t{row} * head_count_ + head) * shape_.partial_size();
  }

  const KvPages& pages_;
  const kernels::AttentionShape shape_;
  const kernels::AttentionKernels& kernels_;
  const uint32_t head_count_, kv_head_count_, group_;  ///< group_: query heads of a K/V head
  Mapping kept_sums_;             ///< of rows whose chunks are cut between phases
  std::vector<Scratch> scratch_;  ///< per thread
};

}  // namespace pie::exec
