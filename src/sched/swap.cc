// Which pages leave the pool for the swap file.
#include <algorithm>
#include <tuple>

#include "sched/scheduler.h"

namespace pie::sched {
namespace {

/// Free pages that are kept at hand while there are cold ones: one in so many, at most so many.
constexpr uint32_t kFreeShare = 16;
constexpr uint32_t kFreeMax = 64;

uint32_t spare_pages(const kv::FrameTable& table) {
  return std::min(kFreeMax, table.pool().capacity() / kFreeShare);
}

}  // namespace

bool Scheduler::pages_are_needed() const {
  const kv::FrameTable& table = pages_.frame_table();
  return table.swap_capacity() > 0 && table.available() + table.storing_count() < line_needs_;
}

bool Scheduler::pages_are_short() const {
  const kv::FrameTable& table = pages_.frame_table();
  return table.swap_capacity() > 0 &&
         table.available() + table.storing_count() < std::max(spare_pages(table), line_needs_);
}

Room Scheduler::make_room(const std::set<InstanceId>& paused) {
  Room room;
  const kv::FrameTable& table = pages_.frame_table();
  if (!pages_are_short()) return room;
  const uint32_t coming = table.available() + table.storing_count();
  uint32_t wanted = std::max(spare_pages(table), line_needs_) - coming;
  const uint32_t urgent = line_needs_ - std::min(line_needs_, coming);

  const std::set<InstanceId> waiting = waiting_instances();
  // Paused ones by the turn of their last use, then those in line, youngest first.
  using Rank = std::tuple<bool, uint64_t, kv::FrameId>;
  std::vector<Rank> cold;
  for (uint32_t i = 0; i < table.size(); ++i) {
    const kv::Frame& frame = table[kv::FrameId{i}];
    if (!frame.ready() || frame.users > 0 || frame.slots.empty()) continue;
    uint64_t oldest = UINT64_MAX;
    const bool is_cold = std::ranges::all_of(frame.slots, [&](kv::SlotId slot) {
      const InstanceId owner = pages_.owner(slot);
      if (owner == kv::kExports || paused.contains(owner)) return true;
      oldest = std::min(oldest, owner.value);
      return urgent > 0 && owner != line_first_ && waiting.contains(owner);
    });
    if (!is_cold) continue;
    const bool waits = oldest != UINT64_MAX;
    cold.emplace_back(waits, waits ? UINT64_MAX - oldest : frame.used_at, kv::FrameId{i});
  }
  std::sort(cold.begin(), cold.end());
  for (const auto& [waits, rank, frame] : cold) {
    if (wanted == 0 || (waits && room.stores.size() + room.freed >= urgent)) break;
    const kv::Eviction out = pages_.store(frame);
    if (!out.store && !out.is_free) break;  // the swap file is full
    if (out.store) room.stores.push_back(*out.store);
    room.freed += out.is_free ? 1 : 0;
    --wanted;
  }
  return room;
}

}  // namespace pie::sched
