#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "kv/pointer_table.h"

namespace pie::kv {

/// Who still refers to a slot: its owner, until release(), and commands that wait in a queue
/// (pins). A slot that nobody refers to is dead: its id may be used again, so that no command of
/// one instance can ever reach what another one allocated later. Thread: engine only.
class SlotLedger {
 public:
  /// A command that waits refers to the slots. A slot may occur more than once.
  void pin(std::span<const SlotId> slots);
  /// Undoes one pin().
  void unpin(std::span<const SlotId> slots);
  /// The owner lets go; once for each slot id that was handed out.
  void release(SlotId slot);

  /// The slots that died since the last call.
  std::vector<SlotId> take_dead();

  void check_invariants() const;

 private:
  struct Entry {
    uint32_t pin_count = 0;
    bool released = false;
  };
  Entry& entry(SlotId slot);
  void bury_if_dead(SlotId slot);

  std::vector<Entry> entries_;  // by slot
  std::vector<SlotId> dead_;
};

}  // namespace pie::kv
