#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/strong_id.h"
#include "kv/page_pool.h"
#include "kv/slot_ledger.h"

namespace pie::kv {

/// Who owns slots that no instance does: the pages under an exported name.
inline constexpr InstanceId kExports{0};

/// A whole page to be copied before it is written.
struct PageCopy {
  KvPageId from, to;
  bool operator==(const PageCopy&) const = default;
};

/// Which physical page each slot is bound to. A slot gets its page when a pass first needs it and
/// gives it back when the slot dies. Several slots may refer to one page (the pool counts
/// references); a slot that is to be written gets a copy of its own first. Each owner's count is
/// kept by owner, a shared page counting for each.
/// Thread: engine only.
class PageMap {
 public:
  explicit PageMap(uint32_t page_count);

  void pin(std::span<const SlotId> slots) { ledger_.pin(slots); }
  void unpin(std::span<const SlotId> slots);
  void release(SlotId slot);

  /// How many pages bind() would take from the pool.
  uint32_t missing_count(std::span<const SlotId> slots, size_t first_written);
  /// Binds every slot that has no page and appends the pages that were taken (to be cleared before
  /// use) to `fresh`. Slots from index `first_written` on are to be written (each occurs once): a
  /// page that others refer to as well is replaced by a new one, and the copy to be made appended
  /// to `copies`. All or nothing: false when the pool has too few, and then nothing changed.
  bool bind(InstanceId owner, std::span<const SlotId> slots, size_t first_written,
            std::vector<KvPageId>& fresh, std::vector<PageCopy>& copies);
  /// Makes `to`, of `owner`, refer to what `from` does: to the same page, or to none yet.
  void share(SlotId from, InstanceId owner, SlotId to);
  /// The page of a bound slot.
  KvPageId page(SlotId slot) const;

  /// Pages bound for the instance.
  uint32_t held_count(InstanceId owner) const;
  /// Every instance that holds a page, with how many.
  const std::map<InstanceId, uint32_t>& holders() const { return held_; }
  const PagePool& pool() const { return pool_; }

  /// The slots that died since the last call: their ids may be used again.
  std::vector<SlotId> take_dead_slots() { return std::exchange(dead_, {}); }

  /// Ends the process (PIE_CHECK) when bindings, counts and pool disagree. O(pages + slots).
  void check_invariants() const;

 private:
  struct Binding {
    std::optional<KvPageId> page;
    InstanceId owner;
    uint64_t counted = 0;  // the missing_count() that saw it last: a list may name a slot twice
  };
  bool bound(SlotId slot) const;
  bool is_shared(SlotId slot) const;
  void attach(SlotId slot, InstanceId owner, KvPageId page);
  void detach(SlotId slot);
  Binding& binding(SlotId slot);
  void unbind_dead();

  PagePool pool_;
  SlotLedger ledger_;
  std::vector<Binding> bindings_;  // by slot
  std::map<InstanceId, uint32_t> held_;
  std::vector<SlotId> dead_;
  uint64_t count_number_ = 0;
};

}  // namespace pie::kv
