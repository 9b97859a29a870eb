#include "engine/embedding_store.h"

#include "base/check.h"

namespace pie::engine {

void EmbeddingStore::unpin(std::span<const kv::SlotId> slots) {
  ledger_.unpin(slots);
  drop_dead();
}

void EmbeddingStore::release(kv::SlotId slot) {
  ledger_.release(slot);
  drop_dead();
}

void EmbeddingStore::drop_dead() {
  for (const kv::SlotId slot : ledger_.take_dead()) {
    if (slot.value < values_.size()) values_[slot.value] = {};
    dead_.push_back(slot);
  }
}

const float* EmbeddingStore::read(kv::SlotId slot) const {
  if (slot.value >= values_.size() || values_[slot.value].empty()) return zeros_.data();
  return values_[slot.value].data();
}

void EmbeddingStore::write(kv::SlotId slot, std::span<const float> values) {
  PIE_CHECK(values.size() == zeros_.size());
  if (slot.value >= values_.size()) values_.resize(slot.value + 1);
  values_[slot.value].assign(values.begin(), values.end());
}

void EmbeddingStore::copy(kv::SlotId from, kv::SlotId to) {
  const float* values = read(from);
  write(to, std::vector<float>(values, values + zeros_.size()));
}

}  // namespace pie::engine
