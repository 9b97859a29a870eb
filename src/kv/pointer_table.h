#pragma once
#include <cstdint>
#include <optional>
#include <queue>
#include <span>
#include <vector>

#include "base/strong_id.h"

namespace pie::kv {

/// Something that a program allocated (a KV page or an embedding slot), for as long as anything
/// refers to it. Small integers that are used again: tables are indexed by them.
using SlotId = StrongId<struct SlotIdTag, uint32_t>;

/// Hands out slot ids, the ones that came back first. Not thread-safe.
class SlotSource {
 public:
  SlotId take();
  void give_back(std::span<const SlotId> slots);
  uint32_t taken_count() const { return next_ - static_cast<uint32_t>(free_.size()); }

 private:
  std::vector<SlotId> free_;
  uint32_t next_ = 0;
};

/// The virtual pointers of one instance and resource type: number -> slot. Numbers are handed out
/// smallest free one first, from 0 (inferlet-host.md, section 2). Not thread-safe.
class PointerTable {
 public:
  /// Maps the slot under the smallest free number and returns that number.
  uint32_t map(SlotId slot);
  /// The slot that was mapped under the number, which is free again; none when nothing was.
  std::optional<SlotId> unmap(uint32_t pointer);
  std::optional<SlotId> find(uint32_t pointer) const;

  uint32_t mapped_count() const { return mapped_; }
  /// Numbers that were ever handed out are below this.
  size_t number_count() const { return entries_.size(); }
  /// All slots that are mapped.
  std::vector<SlotId> slots() const;

  /// Ends the process (PIE_CHECK) when counts, free numbers and entries disagree.
  void check_invariants() const;

 private:
  static constexpr SlotId kNoSlot{UINT32_MAX};
  std::vector<SlotId> entries_;  // by pointer
  std::priority_queue<uint32_t, std::vector<uint32_t>, std::greater<>> free_;
  uint32_t mapped_ = 0;
};

}  // namespace pie::kv
