#include "kv/pointer_table.h"

#include "base/check.h"

namespace pie::kv {

SlotId SlotSource::take() {
  if (free_.empty()) return SlotId{next_++};
  const SlotId slot = free_.back();
  free_.pop_back();
  return slot;
}

void SlotSource::give_back(std::span<const SlotId> slots) {
  free_.insert(free_.end(), slots.begin(), slots.end());
  PIE_CHECK(free_.size() <= next_);
}

uint32_t PointerTable::map(SlotId slot) {
  PIE_CHECK(slot != kNoSlot);
  ++mapped_;
  if (free_.empty()) {
    entries_.push_back(slot);
    return static_cast<uint32_t>(entries_.size() - 1);
  }
  const uint32_t pointer = free_.top();
  free_.pop();
  entries_[pointer] = slot;
  return pointer;
}

std::optional<SlotId> PointerTable::unmap(uint32_t pointer) {
  const std::optional<SlotId> slot = find(pointer);
  if (!slot) return std::nullopt;
  entries_[pointer] = kNoSlot;
  free_.push(pointer);
  --mapped_;
  return slot;
}

std::optional<SlotId> PointerTable::find(uint32_t pointer) const {
  if (pointer >= entries_.size() || entries_[pointer] == kNoSlot) return std::nullopt;
  return entries_[pointer];
}

std::vector<SlotId> PointerTable::slots() const {
  std::vector<SlotId> result;
  result.reserve(mapped_);
  for (const SlotId slot : entries_) {
    if (slot != kNoSlot) result.push_back(slot);
  }
  return result;
}

void PointerTable::check_invariants() const {
  PIE_CHECK(slots().size() == mapped_);
  PIE_CHECK(mapped_ + free_.size() == entries_.size());
}

}  // namespace pie::kv
