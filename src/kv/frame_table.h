#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "base/strong_id.h"
#include "kv/page_pool.h"
#include "kv/pointer_table.h"
#include "kv/prefix_index.h"

namespace pie::kv {

/// A page's bytes outside of the pool. File 0 is the swap file; others are numbered by the caller.
struct DiskPage {
  uint32_t file = 0, page = 0;
  bool operator==(const DiskPage&) const = default;
};

/// What the caller's disk threads have to do, in this order, each to be reported when it is done.
struct PageLoad {
  FrameId frame;
  DiskPage from;
  KvPageId to;
};
struct PageStore {
  FrameId frame;
  KvPageId from;
  DiskPage to;
};

/// How a page leaves the pool.
struct Eviction {
  std::optional<PageStore> store;  ///< when this is done
  bool is_free = false;            ///< at once
};

/// What became of something that a disk thread had to do.
enum class DiskOutcome : uint8_t { kDone, kFailed };

/// The content of one page, wherever it is: in a page of the pool, on disk, or both.
struct Frame {
  enum class Io : uint8_t { kNone, kLoading, kStoring };

  std::vector<SlotId> slots;     ///< that refer to it
  uint32_t users = 0;            ///< passes under way that need it in the pool
  std::optional<KvPageId> page;  ///< while loading: where to
  std::optional<DiskPage> disk;  ///< a true copy; while storing: where to
  Io io = Io::kNone;
  bool wanted = false;   ///< somebody asked for it while it was being stored
  bool lost = false;     ///< the disk did not give it back
  bool kept = false;     ///< found by content: stays when nobody refers to it
  uint32_t depth = 0;    ///< of kept ones: pages before it
  uint64_t used_at = 0;  ///< turn of the last pass that needed it

  /// Its page holds its content and may be read and written.
  bool ready() const { return page.has_value() && io == Io::kNone; }
};

/// All frames, the pages that hold them, and the places in the swap file. A frame lives while slots
/// or passes refer to it; a kept one also after that, until its page is needed: the least recently
/// used first, of one sequence the last page first. Thread: engine only.
class FrameTable {
 public:
  FrameTable(uint32_t page_count, uint32_t swap_page_count);

  /// Called before a frame goes.
  void on_forget(std::function<void(FrameId)> call) { on_forget_ = std::move(call); }

  const Frame& operator[](FrameId frame) const { return frames_[frame.value]; }
  Frame& at(FrameId frame) { return frames_[frame.value]; }
  uint32_t size() const { return static_cast<uint32_t>(frames_.size()); }

  /// Pages that can be had at once.
  uint32_t available() const { return pool_.free_count() + static_cast<uint32_t>(unused_.size()); }
  /// A frame in a page of its own, whose content is not defined. available() must not be 0.
  FrameId make();
  /// A frame whose content is on disk.
  FrameId make_on_disk(DiskPage disk);

  /// Somebody begins to refer to the frame (a slot or a pass was or will be added).
  void revive(FrameId frame);
  /// Somebody ceased to: the frame goes, or waits for its content to be asked for, when it was the
  /// last one.
  void settle(FrameId frame);
  /// From now on it stays when nobody refers to it; `depth`: pages before it. And no longer.
  void keep(FrameId frame, uint32_t depth);
  void stop_keeping(FrameId frame);
  void use(FrameId frame) { at(frame).used_at = turn_; }
  void begin_turn() { ++turn_; }

  /// The page differs from its copy on disk from now on.
  void drop_disk_copy(FrameId frame);
  /// Gives the frame a page and begins to load it. available() must not be 0.
  PageLoad load(FrameId frame);
  /// Begins to move a ready frame to the swap file; neither when there is no room. With a true copy
  /// on disk nothing needs to be written: then the page is free at once.
  Eviction store(FrameId frame);
  /// What the disk threads did. A frame that could not be loaded is lost, one that was stored and
  /// is not wanted gives up its page.
  void loaded(FrameId frame, DiskOutcome outcome);
  void stored(FrameId frame, DiskOutcome outcome);

  const PagePool& pool() const { return pool_; }
  uint32_t swap_used() const { return swap_.taken_count(); }
  uint32_t swap_capacity() const { return swap_.capacity(); }
  /// Loads and stores that were begun and not reported.
  uint32_t io_count() const { return io_count_; }
  uint32_t storing_count() const { return storing_count_; }
  /// A load into a frame that make() made, of what another one has on disk.
  PageLoad load_into(FrameId frame, DiskPage from);
  /// Frames that nobody refers to and that are kept.
  uint32_t unused_count() const { return static_cast<uint32_t>(unused_.size()); }
  /// Pages on disk of other files than the swap file that nobody refers to any more.
  std::vector<DiskPage> take_released() { return std::exchange(released_, {}); }

  void check_invariants() const;

 private:
  using Order = std::tuple<uint64_t, uint32_t, FrameId>;  // least recently used, then deepest
  Order order(FrameId frame) const {
    return {frames_[frame.value].used_at, UINT32_MAX - frames_[frame.value].depth, frame};
  }
  FrameId take_id();
  KvPageId take_page();
  bool is_idle(const Frame& frame) const {
    return frame.slots.empty() && frame.users == 0 && frame.io == Frame::Io::kNone;
  }
  void destroy(FrameId frame);
  std::optional<KvPageId> take_swap_place();

  PagePool pool_, swap_;
  std::vector<Frame> frames_;  // by id
  std::vector<FrameId> free_;
  std::set<Order> unused_;
  uint64_t turn_ = 0;
  uint32_t io_count_ = 0, storing_count_ = 0;
  std::vector<DiskPage> released_;
  std::function<void(FrameId)> on_forget_;
};

}  // namespace pie::kv
