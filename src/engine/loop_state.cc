#include "engine/loop_state.h"

#include <fmt/format.h>

#include "base/check.h"
#include "engine/disk_thread.h"
#include "engine/local_engine.h"

namespace pie::engine {

Error cancelled_error(std::string_view call, Cancelled why) {
  return {ErrorCode::kCancelled,
          fmt::format(
              "[{}] got an {}, expected to run", call,
              why == Cancelled::kEngineStops ? "engine that stops" : "instance that was closed")};
}

void LoopState::begin(std::unique_ptr<Command> command) {
  Command& begun = *command;
  pending.emplace(begun.id, std::move(command));
  begun.begin(*this);
}

void LoopState::complete(sched::CommandId id) {
  if (pending.at(id)->complete(*this) == Command::Completion::kDone) pending.erase(id);
}

void LoopState::cancel(sched::CommandId id, Cancelled why) { end(id)->cancel(*this, why); }

std::unique_ptr<Command> LoopState::end(sched::CommandId id) {
  auto ended = pending.extract(id);
  PIE_CHECK(!ended.empty());
  return std::move(ended.mapped());
}

void LoopState::close_instance(InstanceId instance, const std::vector<kv::SlotId>& page_slots,
                               const std::vector<kv::SlotId>& embedding_slots) {
  for (const sched::CommandId id : scheduler.close_instance(instance))
    cancel(id, Cancelled::kInstanceClosed);
  for (const kv::SlotId slot : page_slots) pages.release(slot);
  for (const kv::SlotId slot : embedding_slots) embeddings.release(slot);
  publish();
}

void LoopState::release(ResourceType type, const std::vector<kv::SlotId>& slots) {
  for (const kv::SlotId slot : slots) {
    if (type == ResourceType::kKvPage) {
      pages.release(slot);
    } else {
      embeddings.release(slot);
    }
  }
  publish();
}

void LoopState::unpin(ResourceType type, const std::vector<kv::SlotId>& slots) {
  const bool is_page = type == ResourceType::kKvPage;
  if (!is_page) embeddings.unpin(slots);
  std::vector<kv::SlotId>& unpinned = is_page ? report.unpinned_pages : report.unpinned_embeddings;
  unpinned.insert(unpinned.end(), slots.begin(), slots.end());
}

void LoopState::publish() {
  close_files();
  report.dead_pages = pages.take_dead_slots();
  report.dead_embeddings = embeddings.take_dead_slots();
  for (const InstanceId instance : pages.take_changed_holders())
    report.kv_pages_held.emplace_back(instance, pages.held_count(instance));
  EngineStats& stats = report.stats;
  stats.kv_pages_used = pages.live_count();
  stats.kv_pages_cached = pages.frame_table().unused_count();
  stats.swap_pages_used = pages.frame_table().swap_used();
  stats.tokens_per_second = throughput.tokens_per_second();
  stats.step_ms_mean = throughput.step_ms_mean();
  engine.apply(report);
  report = {.stats = stats};
}

/// Files of which nobody refers to a page any more are closed.
void LoopState::close_files() {
  for (const kv::DiskPage& page : pages.take_released()) {
    const auto file = snapshots.open_files.find(page.file);
    if (file == snapshots.open_files.end() || --file->second > 0) continue;
    disk->close(page.file);
    snapshots.open_files.erase(file);
  }
}

}  // namespace pie::engine
