#pragma once
#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "base/strong_id.h"
#include "kv/frame_table.h"
#include "kv/prefix_cache.h"
#include "kv/slot_ledger.h"

namespace pie::kv {

/// Who owns slots that no instance does: the pages under an exported name.
inline constexpr InstanceId kExports{0};

/// A page that is to be made: a copy of another one, or cleared.
struct PageSetup {
  std::optional<KvPageId> from;  ///< none: cleared
  KvPageId to;
  bool operator==(const PageSetup&) const = default;
};

/// What has to be done before the pages of passes are their own.
struct Bindings {
  std::vector<PageSetup>
      pages;                    ///< to be made in this order: a page may be copied, then used again
  std::vector<PageLoad> loads;  ///< to be begun after that

  size_t fresh_count() const {
    return static_cast<size_t>(
        std::ranges::count_if(pages, [](const PageSetup& page) { return !page.from; }));
  }
};

struct PageMapConfig {
  uint32_t page_count = 0;
  uint32_t page_size = 16;
  uint32_t swap_page_count = 0;  ///< places in the swap file
  uint64_t salt = 0;             ///< of the prefix cache
};

/// Which frame each slot refers to. A slot gets its frame when a pass first needs it and lets go of
/// it when the slot dies. Several slots may refer to one frame; a slot that is to be written gets a
/// copy of its own first. Each owner's count is of pages in the pool, a shared one counting for
/// each. Thread: engine only.
class PageMap {
 public:
  explicit PageMap(const PageMapConfig& config);
  PageMap(const PageMap&) = delete;
  PageMap& operator=(const PageMap&) = delete;

  void pin(std::span<const SlotId> slots) { ledger_.pin(slots); }
  void unpin(std::span<const SlotId> slots);
  void release(SlotId slot);
  void begin_turn() { frames_.begin_turn(); }

  /// How many pages a pass needs that it has not, when it writes behind `context_len` tokens and
  /// takes what `match` found.
  uint32_t missing_count(std::span<const SlotId> slots, uint32_t context_len,
                         const Match& match = {});
  /// Lets the slots refer to what `match` found, gives a frame to every slot that has none and a
  /// page to every frame that is on disk alone; slots that are to be written and whose frame others
  /// refer to get a copy. All or nothing: false when the pool has too few, and then nothing
  /// changed.
  bool bind(InstanceId owner, std::span<const SlotId> slots, uint32_t context_len,
            const Match& match, Bindings& out);
  /// Makes `to`, of `owner`, refer to what `from` does: to the same frame, or to none yet.
  void share(SlotId from, InstanceId owner, SlotId to);
  /// Makes the slot refer to a page on disk.
  void attach_disk_page(InstanceId owner, SlotId slot, DiskPage disk);

  std::optional<FrameId> frame(SlotId slot) const;
  std::vector<std::optional<FrameId>> frames(std::span<const SlotId> slots) const;
  const FrameTable& frame_table() const { return frames_; }
  InstanceId owner(SlotId slot) const { return bindings_[slot.value].owner; }
  PrefixCache& cache() { return cache_; }

  /// Passes under way need the frames in the pool; and no longer.
  void use(std::span<const FrameId> frames);
  void unuse(std::span<const FrameId> frames);
  /// Whether all of them are in the pool and no disk thread is at work on them.
  bool ready(std::span<const FrameId> frames) const;
  bool any_lost(std::span<const FrameId> frames) const;
  /// The frames, which are ready, are about to be written: copies on disk are not true any more.
  void begin_write(std::span<const FrameId> frames);

  /// Moves a ready frame that nobody uses out of the pool: now, or when what it returns is done.
  /// Neither: the swap file is full.
  Eviction store(FrameId frame);
  /// What the disk threads did. What could not be loaded is lost for all that refer to it.
  void loaded(FrameId frame, DiskOutcome outcome);
  void stored(FrameId frame, DiskOutcome outcome);

  /// Pages of the pool that the instance refers to.
  uint32_t held_count(InstanceId owner) const;
  /// Every instance that refers to a page in the pool, with how many.
  const std::map<InstanceId, uint32_t>& holders() const { return held_; }
  /// The instances whose count may have changed since the last call.
  std::set<InstanceId> take_changed_holders() { return std::exchange(changed_, {}); }
  /// Pages in the pool that somebody refers to.
  uint32_t live_count() const { return frames_.pool().taken_count() - frames_.unused_count(); }

  /// The slots that died since the last call: their ids may be used again.
  std::vector<SlotId> take_dead_slots() { return std::exchange(dead_, {}); }
  std::vector<DiskPage> take_released() { return frames_.take_released(); }

  /// Ends the process (PIE_CHECK) when bindings, counts and pool disagree. O(pages + slots).
  void check_invariants() const;

 private:
  struct Binding {
    std::optional<FrameId> frame;
    InstanceId owner;
    uint32_t index = 0;    // in the frame's list of slots
    uint64_t counted = 0;  // the missing_count() that saw it last: a list may name a slot twice
  };
  Binding& binding(SlotId slot);
  bool is_copied(SlotId slot) const;
  void attach(SlotId slot, InstanceId owner, FrameId frame);
  void detach(SlotId slot);
  void copy_for_write(SlotId slot, InstanceId owner, Bindings& out);
  void count_page(FrameId frame, int by);
  void count_held(InstanceId owner, int by);
  void unbind_dead();

  const uint32_t page_size_;
  FrameTable frames_;
  PrefixCache cache_;
  SlotLedger ledger_;
  std::vector<Binding> bindings_;         // by slot
  std::vector<uint64_t> frames_counted_;  // by frame, like Binding::counted
  std::map<InstanceId, uint32_t> held_;
  std::set<InstanceId> changed_;
  std::vector<SlotId> dead_;
  uint64_t count_number_ = 0;
};

}  // namespace pie::kv
