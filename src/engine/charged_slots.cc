#include "engine/charged_slots.h"

#include "base/check.h"

namespace pie::engine {

kv::SlotId ChargedSlots::take(const SlotAccountRef& account) {
  const kv::SlotId slot = source_.take();
  if (slot.value >= slots_.size()) slots_.resize(slot.value + 1);
  slots_[slot.value] = {account, 0, false};
  ++account->used;
  return slot;
}

void ChargedSlots::pin(std::span<const kv::SlotId> slots) {
  for (const kv::SlotId slot : slots) {
    ++slots_[slot.value].pins;
    slots_[slot.value].is_named = true;
  }
}

void ChargedSlots::unpin(std::span<const kv::SlotId> slots) {
  for (const kv::SlotId slot : slots) {
    PIE_CHECK(slots_[slot.value].pins > 0);
    --slots_[slot.value].pins;
  }
}

void ChargedSlots::give_back(Slot& slot) {
  const SlotAccountRef account = std::exchange(slot.account, nullptr);
  if (!account) return;
  --account->used;
  if (account->shared) account->shared->kv_pages.give_back(1);
}

bool ChargedSlots::release(kv::SlotId id) {
  Slot& slot = slots_[id.value];
  if (slot.pins == 0) give_back(slot);
  if (slot.is_named) return true;
  source_.give_back({&id, 1});
  return false;
}

void ChargedSlots::died(std::span<const kv::SlotId> slots) {
  for (const kv::SlotId slot : slots) {
    PIE_CHECK(slots_[slot.value].pins == 0);
    give_back(slots_[slot.value]);
  }
  source_.give_back(slots);
}

}  // namespace pie::engine
