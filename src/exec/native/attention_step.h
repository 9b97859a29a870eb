#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/mapping.h"
#include "base/thread_pool.h"
#include "exec/native/kv_pages.h"
#include "exec/native/scattered_tile.h"
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

  /// Makes room for the plan's items, before run().
  void reserve(const StepPlan& plan);
  /// Every thread of the team calls it; the results are there when the team meets next. Items that
  /// are too few for the threads are cut at chunks: each part keeps its chunks' partial results,
  /// which are then merged in the order of the chunks, so that the bits are those of no cut.
  void run(Team& team, const StepPlan& plan, const AttentionPlan& attention, uint32_t layer,
           uint32_t window, const AttentionBuffers& buffers);

 private:
  /// How an item of a phase is cut into tasks for each K/V head.
  struct Cut {
    uint32_t first_task, parts;
    uint32_t chunk_begin, chunk_end;
    size_t first_partial;  ///< of stored_, unless parts is 1
  };
  struct Scratch {
    Mapping memory;
    float* packed = nullptr;               ///< [queries, key_size]
    float* sums = nullptr;                 ///< [queries, partial_size]
    float* partials = nullptr;             ///< [kTileQueries, partial_size]
    std::vector<uint16_t> visible;         ///< [rows of an item, kChunkPages]
    std::vector<RowChunks::Sight> sights;  ///< [rows of an item]
    ScatteredTile scattered;
    std::vector<const std::byte*> scattered_pages;  ///< of a head
    std::vector<const float*> queries;
    std::vector<Cut> cuts;  ///< of the phase in hand
  };
  /// What all tasks of a layer have in common.
  struct Layer {
    const StepPlan& plan;
    const AttentionPlan& attention;
    uint32_t layer, window;
    const AttentionBuffers& buffers;
  };
  /// Chunks [begin, end) of an item, for one K/V head.
  struct Task {
    const Layer& of;
    const AttentionItem& item;
    uint32_t kv_head;
    Scratch& scratch;
    uint32_t chunk_begin, chunk_end;
    float* stored;  ///< partial results of chunk_begin's queries, and so on; null = they are merged

    uint32_t row(uint32_t index) const { return of.attention.rows[item.first_row + index]; }
  };
  uint32_t cut_items(const Team& team, const Layer& layer, std::span<const AttentionItem> items,
                     std::vector<Cut>& cuts) const;
  Task part_of(const Layer& layer, std::span<const AttentionItem> items, Scratch& scratch,
               uint32_t number);
  float* stored_of(const Cut& cut, const AttentionItem& item, uint32_t kv_head);
  void compute(const Task& task);
  void pack_queries(const Task& task);
  void begin_sums(const Task& task);
  void end_sums(const Task& task);
  void merge_stored(const Task& task);
  bool find_visible(const Task& task, uint32_t chunk);
  void add_chunk(const Task& task, uint32_t chunk, float* stored);
  /// Queries [at, at + tile) of a task.
  struct Tile {
    uint32_t at, count;
    float* partials[kernels::kTileQueries];
  };
  void attend_in_place(const Task& task, uint32_t chunk, const Tile& tile);
  void attend_scattered(const Task& task, uint32_t chunk, const Tile& tile);
  float* kept_sum(uint32_t row, uint32_t head) {
    return kept_sums_.as<float>() + (size_t{row} * head_count_ + head) * shape_.partial_size();
  }

  const KvPages& pages_;
  const kernels::AttentionShape shape_;
  const kernels::AttentionKernels& kernels_;
  const uint32_t head_count_, kv_head_count_, group_;  ///< group_: query heads of a K/V head
  Mapping kept_sums_;             ///< of rows whose chunks are cut between phases
  Mapping stored_;                ///< kStoredMax partial results of items that are cut
  std::vector<Scratch> scratch_;  ///< per thread
};

}  // namespace pie::exec
