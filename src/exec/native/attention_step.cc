#include "exec/native/attention_step.h"

#include <algorithm>
#include <cstring>
#include <iterator>

namespace pie::exec {

using kernels::kChunkPages;
using kernels::kTileQueries;

namespace {

constexpr uint32_t kItemQueries = 48;
/// Fewer tasks than this for each thread are cut, into parts of at least so many chunks. A partial
/// result of value_size + 16 floats is stored and read again; computing it takes kChunkTokens *
/// (key_size + value_size) multiplications.
constexpr uint32_t kTasksPerThread = 4;
constexpr uint32_t kChunksPerPart = 2;
/// Partial results that a phase may store; what does not fit is not cut.
constexpr size_t kStoredMax = 16384;

}  // namespace

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
      stored_(thread_count > 1 ? kStoredMax * shape_.partial_size() * sizeof(float) : 0),
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
    s.sights.resize(rows);
    s.queries.resize(queries);
  }
}

void AttentionStep::reserve(const StepPlan& plan) {
  const size_t items = std::max(plan.attention().items.size(), plan.last_attention().items.size());
  for (Scratch& scratch : scratch_) scratch.cuts.reserve(items);
}

void AttentionStep::run(Team& team, const StepPlan& plan, const AttentionPlan& attention,
                        uint32_t layer, uint32_t window, const AttentionBuffers& buffers) {
  const Layer of{plan, attention, layer, window, buffers};
  Scratch& scratch = scratch_[team.index()];
  uint32_t begin = 0;
  for (const uint32_t end : attention.phase_ends) {
    if (begin > 0) team.meet();
    const auto items = std::span(attention.items).subspan(begin, end - begin);
    const uint32_t tasks = cut_items(team, of, items, scratch.cuts);
    for (;;) {
      const auto [at, stop] = team.take(tasks, 1);
      if (at == stop) break;
      compute(part_of(of, items, scratch, at));
    }
    const auto count = static_cast<uint32_t>(items.size()) * kv_head_count_;
    if (tasks > count) {
      team.meet();
      for (;;) {
        const auto [at, stop] = team.take(count, 1);
        if (at == stop) break;
        const AttentionItem& item = items[at / kv_head_count_];
        const Cut& cut = scratch.cuts[at / kv_head_count_];
        const uint32_t head = at % kv_head_count_;
        if (cut.parts > 1) {
          merge_stored({of, item, head, scratch, cut.chunk_begin, cut.chunk_end,
                        stored_of(cut, item, head)});
        }
      }
    }
    begin = end;
  }
}

/// Fills `cuts`, the same for every thread; returns the tasks of all items and heads.
uint32_t AttentionStep::cut_items(const Team& team, const Layer& layer,
                                  std::span<const AttentionItem> items,
                                  std::vector<Cut>& cuts) const {
  cuts.clear();
  const auto whole = static_cast<uint32_t>(items.size()) * kv_head_count_;
  const uint32_t wanted = team.count() == 1 ? 1 : (kTasksPerThread * team.count() - 1) / whole + 1;
  uint32_t tasks = 0;
  size_t stored = 0;
  for (const AttentionItem& item : items) {
    uint32_t first = UINT32_MAX;
    for (uint32_t i = 0; i < item.row_count; ++i) {
      const PlanRow& row = layer.plan.rows()[layer.attention.rows[item.first_row + i]];
      first = std::min(first, layer.plan.chunks().first_chunk(row, layer.window));
    }
    Cut cut{tasks, 1, std::max(item.chunk_begin, first), item.chunk_end, stored};
    const uint32_t chunks = cut.chunk_end - std::min(cut.chunk_begin, cut.chunk_end);
    const size_t partials = size_t{chunks} * item.row_count * head_count_;
    if (wanted > 1 && chunks >= 2 * kChunksPerPart && stored + partials <= kStoredMax) {
      cut.parts = std::min(wanted, chunks / kChunksPerPart);
      stored += partials;
    }
    tasks += cut.parts * kv_head_count_;
    cuts.push_back(cut);
  }
  return tasks;
}

float* AttentionStep::stored_of(const Cut& cut, const AttentionItem& item, uint32_t kv_head) {
  const size_t of_head = size_t{cut.chunk_end - cut.chunk_begin} * item.row_count * group_;
  return stored_.as<float>() + (cut.first_partial + kv_head * of_head) * shape_.partial_size();
}

AttentionStep::Task AttentionStep::part_of(const Layer& layer, std::span<const AttentionItem> items,
                                           Scratch& scratch, uint32_t number) {
  const auto next =
      std::upper_bound(scratch.cuts.begin(), scratch.cuts.end(), number,
                       [](uint32_t task, const Cut& cut) { return task < cut.first_task; });
  const Cut& cut = *std::prev(next);
  const AttentionItem& item = items[static_cast<size_t>(&cut - scratch.cuts.data())];
  const uint32_t within = number - cut.first_task;
  const uint32_t head = within % kv_head_count_;
  if (cut.parts == 1) return {layer, item, head, scratch, cut.chunk_begin, cut.chunk_end, nullptr};
  const uint32_t part = within / kv_head_count_;
  const uint32_t chunks = cut.chunk_end - cut.chunk_begin;
  const uint32_t from = chunks * part / cut.parts;
  const uint32_t to = chunks * (part + 1) / cut.parts;
  float* stored =
      stored_of(cut, item, head) + size_t{from} * item.row_count * group_ * shape_.partial_size();
  return {layer, item, head, scratch, cut.chunk_begin + from, cut.chunk_begin + to, stored};
}

void AttentionStep::compute(const Task& task) {
  const size_t chunk_size = size_t{task.item.row_count} * group_ * shape_.partial_size();
  pack_queries(task);
  if (task.stored == nullptr) begin_sums(task);
  float* stored = task.stored;
  for (uint32_t c = task.chunk_begin; c < task.chunk_end; ++c) {
    const bool is_visible = find_visible(task, c);
    if (stored != nullptr) {
      for (size_t i = 0; i < chunk_size; i += shape_.partial_size())
        kernels::clear_partial(stored + i);
    }
    if (is_visible) add_chunk(task, c, stored);
    if (stored != nullptr) stored += chunk_size;
  }
  if (task.stored == nullptr) end_sums(task);
}

void AttentionStep::pack_queries(const Task& task) {
  const uint32_t count = task.item.row_count * group_;
  const AttentionBuffers& buffers = task.of.buffers;
  for (uint32_t i = 0; i < count; ++i) {
    task.scratch.queries[i] = buffers.queries + task.row(i / group_) * buffers.query_stride +
                              size_t{task.kv_head * group_ + i % group_} * shape_.key_size;
  }
  kernels_.pack_queries(shape_, task.scratch.queries.data(), count, task.scratch.packed);
}

/// The sums over chunks before the item's.
void AttentionStep::begin_sums(const Task& task) {
  const size_t size = shape_.partial_size();
  for (uint32_t i = 0; i < task.item.row_count * group_; ++i) {
    float* sum = task.scratch.sums + i * size;
    if (task.item.continues) {
      std::memcpy(sum, kept_sum(task.row(i / group_), task.kv_head * group_ + i % group_),
                  size * sizeof(float));
    } else {
      kernels::clear_partial(sum);
    }
  }
}

/// Results, or sums for the chunks that follow.
void AttentionStep::end_sums(const Task& task) {
  const size_t size = shape_.partial_size();
  for (uint32_t i = 0; i < task.item.row_count * group_; ++i) {
    const float* sum = task.scratch.sums + i * size;
    const uint32_t row = task.row(i / group_);
    const uint32_t head = task.kv_head * group_ + i % group_;
    if (task.item.finishes) {
      kernels_.finish(
          shape_, sum,
          task.of.buffers.results + (size_t{row} * head_count_ + head) * shape_.value_size);
    } else {
      std::memcpy(kept_sum(row, head), sum, size * sizeof(float));
    }
  }
}

void AttentionStep::merge_stored(const Task& task) {
  const size_t size = shape_.partial_size();
  const uint32_t count = task.item.row_count * group_;
  const float* stored = task.stored;
  begin_sums(task);
  for (uint32_t c = task.chunk_begin; c < task.chunk_end; ++c) {
    for (uint32_t i = 0; i < count; ++i, stored += size)
      kernels_.merge(shape_, task.scratch.sums + i * size, stored);
  }
  end_sums(task);
}

/// How the item's rows see a chunk; false when none sees anything.
bool AttentionStep::find_visible(const Task& task, uint32_t chunk) {
  bool any = false;
  for (uint32_t i = 0; i < task.item.row_count; ++i) {
    const PlanRow& row = task.of.plan.rows()[task.row(i)];
    const RowChunks::Sight sight = task.of.plan.chunks().sight(
        row, chunk, task.of.window, task.scratch.visible.data() + size_t{i} * kChunkPages);
    task.scratch.sights[i] = sight;
    any = any || sight != RowChunks::Sight::kNothing;
  }
  return any;
}

/// A chunk's partial results, to `stored` or (null) merged into the sums.
void AttentionStep::add_chunk(const Task& task, uint32_t chunk, float* stored) {
  Scratch& scratch = task.scratch;
  const uint32_t count = task.item.row_count * group_;
  const size_t size = shape_.partial_size();
  Tile tile{};
  for (; (tile.count = kernels::next_tile(count - tile.at)) > 0; tile.at += tile.count) {
    bool is_seen = false, is_scattered = false;
    for (uint32_t t = 0; t < tile.count; ++t) {
      const RowChunks::Sight sight = scratch.sights[(tile.at + t) / group_];
      is_seen = is_seen || sight != RowChunks::Sight::kNothing;
      is_scattered = is_scattered || sight == RowChunks::Sight::kScattered;
      tile.partials[t] =
          (stored == nullptr ? scratch.partials : stored + tile.at * size) + t * size;
    }
    if (!is_seen) continue;
    is_scattered ? attend_scattered(task, chunk, tile) : attend_in_place(task, chunk, tile);
    for (uint32_t t = 0; stored == nullptr && t < tile.count; ++t)
      kernels_.merge(shape_, scratch.sums + (tile.at + t) * size, tile.partials[t]);
  }
}

void AttentionStep::attend_in_place(const Task& task, uint32_t chunk, const Tile& tile) {
  const Scratch& scratch = task.scratch;
  const std::byte* pages[kChunkPages];
  const size_t first = size_t{chunk} * kChunkPages;
  const auto page_count =
      static_cast<uint32_t>(std::min<size_t>(kChunkPages, task.item.pages.size() - first));
  for (uint32_t p = 0; p < page_count; ++p) {
    pages[p] = pages_.head(task.item.pages[first + p], task.of.layer, task.kv_head);
  }
  const uint16_t* visible[kTileQueries];
  for (uint32_t t = 0; t < tile.count; ++t)
    visible[t] = scratch.visible.data() + size_t{(tile.at + t) / group_} * kChunkPages;
  kernels_.attend(
      shape_, {pages, page_count, tile.count, scratch.packed + size_t{tile.at} * shape_.key_size,
               visible, tile.partials});
}

/// The same where a row has a hole before the chunk's end.
void AttentionStep::attend_scattered(const Task& task, uint32_t chunk, const Tile& tile) {
  Scratch& scratch = task.scratch;
  const uint32_t first_row = tile.at / group_;
  const uint32_t row_count = (tile.at + tile.count - 1) / group_ + 1 - first_row;
  const PlanRow* rows[kTileQueries];
  for (uint32_t r = 0; r < row_count; ++r) rows[r] = &task.of.plan.rows()[task.row(first_row + r)];
  scratch.scattered.find(task.of.plan.chunks(), {rows, row_count}, chunk, task.of.window);
  scratch.scattered_pages.clear();
  for (const uint32_t page : scratch.scattered.pages()) {
    scratch.scattered_pages.push_back(
        pages_.head(task.item.pages[page], task.of.layer, task.kv_head));
  }
  const uint16_t* members[kTileQueries];
  const uint16_t* visible[kTileQueries];
  for (uint32_t t = 0; t < tile.count; ++t) {
    const uint32_t row = (tile.at + t) / group_ - first_row;
    members[t] = scratch.scattered.members(row);
    visible[t] = scratch.scattered.visible(row);
  }
  kernels_.attend_scattered(shape_, {scratch.scattered_pages.data(),
                                     static_cast<uint32_t>(scratch.scattered_pages.size()),
                                     tile.count, scratch.packed + size_t{tile.at} * shape_.key_size,
                                     members, visible, tile.partials});
}

}  // namespace pie::exec
