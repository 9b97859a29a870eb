#include "kv/slot_ledger.h"

#include <utility>

#include "base/check.h"

namespace pie::kv {

SlotLedger::Entry& SlotLedger::entry(SlotId slot) {
  if (slot.value >= entries_.size()) entries_.resize(slot.value + 1);
  return entries_[slot.value];
}

void SlotLedger::pin(std::span<const SlotId> slots) {
  for (const SlotId slot : slots) ++entry(slot).pin_count;
}

void SlotLedger::unpin(std::span<const SlotId> slots) {
  for (const SlotId slot : slots) {
    PIE_CHECK(entry(slot).pin_count > 0);
    --entry(slot).pin_count;
    bury_if_dead(slot);
  }
}

void SlotLedger::release(SlotId slot) {
  PIE_CHECK(!entry(slot).released);
  entry(slot).released = true;
  bury_if_dead(slot);
}

void SlotLedger::bury_if_dead(SlotId slot) {
  Entry& e = entry(slot);
  if (!e.released || e.pin_count > 0) return;
  e = Entry{};
  dead_.push_back(slot);
}

std::vector<SlotId> SlotLedger::take_dead() { return std::exchange(dead_, {}); }

void SlotLedger::check_invariants() const {
  for (const Entry& e : entries_) PIE_CHECK(!e.released || e.pin_count > 0);
  for (const SlotId slot : dead_) PIE_CHECK(entries_[slot.value].pin_count == 0);
}

}  // namespace pie::kv
