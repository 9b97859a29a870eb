#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/ledger.h"
#include "kv/pointer_table.h"

namespace pie::engine {

/// What slots count in: their holder's own bound, and its user's.
struct SlotAccount {
  uint64_t used = 0;
  UserQuotasRef shared;  ///< whose KV pages they are as well; may be null
};
using SlotAccountRef = std::shared_ptr<SlotAccount>;

/// Slots of one resource type, and the account that each counts in: from when it is handed out
/// until its holder lets go of it and no queued command names it. Guarded by the engine's lock.
class ChargedSlots {
 public:
  /// A slot that counts in the account, which has room for it (the caller has seen to that, and has
  /// counted it in the user's quota).
  kv::SlotId take(const SlotAccountRef& account);

  /// A command names the slots; and does so no longer.
  void pin(std::span<const kv::SlotId> slots);
  void unpin(std::span<const kv::SlotId> slots);

  /// The holder lets go. Whether the engine has to hear of it: false when no command ever named the
  /// slot, whose id may then be used again at once.
  [[nodiscard]] bool release(kv::SlotId slot);
  /// Nothing refers to the slots any more: their ids may be used again.
  void died(std::span<const kv::SlotId> slots);

  uint32_t taken_count() const { return source_.taken_count(); }

 private:
  struct Slot {
    SlotAccountRef account;  // null: it does not count any more
    uint32_t pins = 0;
    bool is_named = false;  // by a command, once
  };
  static void give_back(Slot& slot);

  kv::SlotSource source_;
  std::vector<Slot> slots_;  // by id
};

}  // namespace pie::engine
