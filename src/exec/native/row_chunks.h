#pragma once
#include <cstdint>
#include <vector>

#include "exec/executor.h"
#include "kernels/attention.h"

namespace pie::exec {

/// A token of the step.
struct PlanRow {
  const StepToken* token = nullptr;
  KvPageId page;           ///< where its K and V go,
  uint32_t page_slot = 0;  ///< ... at this slot of the page
  uint32_t slot = 0;       ///< of its sequence: it sees slots 0 to this one, as the mask says
  uint32_t attended = 0;   ///< how many of them the mask leaves; slot + 1 without one
  uint32_t first_word = kNoHole;  ///< indices into RowChunks, where the mask has a hole
  uint32_t first_end = 0;

  const model::Adapter* adapter = nullptr;

  static constexpr uint32_t kNoHole = UINT32_MAX;
  bool has_holes() const { return first_word != kNoHole; }
  uint32_t chunk_count() const {
    return (attended + kernels::kChunkTokens - 1) / kernels::kChunkTokens;
  }
};

/// Which slots each row's chunks are made of: the slots that its mask leaves, in their order,
/// kChunkTokens of them in each chunk but the last. So what is summed in which order depends on
/// what a row attends to, and not on what lies between: a branch of a tree has the bits of the same
/// chain, and a page that nobody sees may be there or not. (A layer's window hides slots of a chunk
/// and moves none.) Used again by the next plan.
class RowChunks {
 public:
  void clear();
  /// Restricts a row that attends to all slots up to its own.
  void add_mask(const MaskRuns& runs, PlanRow& row);

  /// How many of the row's first chunks are in place: all of their slots are those of their rank.
  /// UINT32_MAX when all are.
  uint32_t in_place(const PlanRow& row) const;

  /// How a row sees one of its chunks in a layer with this window (0 = none).
  enum class Sight {
    kNothing,
    kInPlace,   ///< its slots are those from chunk * kChunkTokens on
    kScattered  ///< others: slots() and bits() say which
  };
  /// `words`: what it sees of the slots in place, as kernels::ChunkVisible.
  Sight sight(const PlanRow& row, uint32_t chunk, uint32_t window, uint16_t* words) const;

  struct Slots {
    uint32_t begin = 0, end = 0;
  };
  /// Between these slots lies the chunk, which is one of the row's.
  Slots slots(const PlanRow& row, uint32_t chunk) const;
  /// Of a page's 16 slots, those of a chunk, and those of them that the row sees.
  struct PageBits {
    uint16_t members = 0, visible = 0;
  };
  PageBits bits(const PlanRow& row, Slots chunk, uint32_t window, uint32_t page) const;
  /// First chunk of which a row can see something.
  uint32_t first_chunk(const PlanRow& row, uint32_t window) const;

 private:
  void add_ends(PlanRow& row);
  uint32_t end(const PlanRow& row, uint32_t chunk) const;
  bool is_in_place(const PlanRow& row, uint32_t chunk) const;

  std::vector<uint16_t> words_;  ///< of rows with holes: a bit a slot, a word a page
  std::vector<uint32_t> ends_;   ///< of rows with holes: behind the last slot of each chunk
};

}  // namespace pie::exec
