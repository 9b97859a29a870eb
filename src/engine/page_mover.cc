#include "engine/page_mover.h"

#include <optional>
#include <vector>

#include "base/log.h"
#include "engine/local_engine.h"
#include "engine/loop_state.h"

namespace pie::engine {
namespace {

/// How long nothing is moved to a disk that has refused a page.
constexpr uint64_t kFullDiskPauseNs = 1'000'000'000;

uint32_t swap_pages(const EngineConfig& config, const exec::Executor& executor) {
  if (config.swap_folder.empty()) return 0;
  return swap_page_count(config.swap_folder, config.swap_bytes_max, executor.page_bytes());
}

std::optional<SwapFile> open_swap(const EngineConfig& config, const exec::Executor& executor,
                                  uint32_t page_count) {
  if (page_count == 0) return std::nullopt;
  Result<SwapFile> file = SwapFile::open(config.swap_folder, executor.page_bytes());
  if (file.ok()) return std::move(*file);
  log::error("engine: pages stay in the pool: {}", file.error().message);
  return std::nullopt;
}

}  // namespace

PageMover::PageMover(LocalEngine& engine, exec::Executor& executor, const EngineConfig& config,
                     KeepsSnapshots keeps_snapshots, const Clock& clock)
    : engine_(engine),
      executor_(executor),
      clock_(clock),
      swap_page_count_(swap_pages(config, executor)) {
  std::optional<SwapFile> swap = open_swap(config, executor, swap_page_count_);
  if (!swap && keeps_snapshots == KeepsSnapshots::kNo) return;
  disk_ = std::make_unique<DiskThread>(
      executor, std::move(swap), [this, &inbox = engine.inbox()](const PageMoved& page) {
        inbox.post([this, page](LoopState& state) { moved(state, page); });
      });
}

void PageMover::moved(LoopState& state, const PageMoved& page) {
  EngineStats& stats = state.report.stats;
  if (page.way == PageMoved::Way::kToPool) {
    ++stats.swap_pages_loaded;
    state.pages.loaded(page.frame, page.outcome);
    return;
  }
  state.pages.stored(page.frame, page.outcome);
  if (page.outcome == kv::DiskOutcome::kDone) {
    ++stats.swap_pages_stored;
  } else {
    no_swap_until_ns_ = clock_.now_ns() + kFullDiskPauseNs;
  }
}

void PageMover::bind(const kv::Bindings& bindings) {
  const std::vector<kv::PageSetup>& pages = bindings.pages;
  for (size_t i = 0; i < pages.size();) {
    std::vector<KvPageId> from, to;
    const bool copies = pages[i].from.has_value();
    for (; i < pages.size() && pages[i].from.has_value() == copies; ++i) {
      if (copies) from.push_back(*pages[i].from);
      to.push_back(pages[i].to);
    }
    if (copies) {
      executor_.copy_pages(from, to);
    } else {
      executor_.clear_pages(to);
    }
  }
  for (const kv::PageLoad& load : bindings.loads) disk_->load(load);
}

PageMover::Freed PageMover::make_room(LoopState& state, const sched::Plan& plan) {
  constexpr uint32_t kTurnsBetweenLooks = 8;  // for cold pages that nobody needs the room of yet
  if (!disk_ || !disk_->has_swap() || clock_.now_ns() < no_swap_until_ns_) return Freed::kNothing;
  sched::Scheduler& scheduler = state.scheduler;
  const bool looks = ++turns_ % kTurnsBetweenLooks == 0 && scheduler.pages_are_short();
  if (!looks && !scheduler.pages_are_needed()) return Freed::kNothing;
  const sched::Room room = scheduler.make_room(
      engine_.paused(plan.waiting ? LoopInbox::PausedAlert::kOn : LoopInbox::PausedAlert::kOff));
  for (const kv::PageStore& store : room.stores) disk_->store(store);
  if (room.freed > 0) return Freed::kNow;
  return room.stores.empty() ? Freed::kNothing : Freed::kSoon;
}

}  // namespace pie::engine
