#pragma once
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "kv/slot_ledger.h"

namespace pie::engine {

/// The contents of embedding slots, f32 [embedding_size] each. Thread: engine only.
class EmbeddingStore {
 public:
  explicit EmbeddingStore(uint32_t embedding_size) : zeros_(embedding_size, 0.0F) {}

  void pin(std::span<const kv::SlotId> slots) { ledger_.pin(slots); }
  void unpin(std::span<const kv::SlotId> slots);
  void release(kv::SlotId slot);

  /// The slot's values; zeros when nothing was written. Valid until the slot is written or dies.
  const float* read(kv::SlotId slot) const;
  void write(kv::SlotId slot, std::span<const float> values);

  /// Makes `to` hold what `from` does.
  void copy(kv::SlotId from, kv::SlotId to);

  /// The slots that died since the last call: their ids may be used again.
  std::vector<kv::SlotId> take_dead_slots() { return std::exchange(dead_, {}); }

 private:
  void drop_dead();

  kv::SlotLedger ledger_;
  std::vector<std::vector<float>> values_;  // by slot; empty = never written
  std::vector<float> zeros_;
  std::vector<kv::SlotId> dead_;
};

}  // namespace pie::engine
