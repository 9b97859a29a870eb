#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "base/strong_id.h"

namespace pie::kv {

/// The free list of a fixed set of numbers, smallest first: physical KV pages, places in the swap
/// file. Accounting only. Thread: engine only. Invariant: free_count() + taken_count() ==
/// capacity().
class PagePool {
 public:
  explicit PagePool(uint32_t capacity);

  /// The smallest free page; none when there is none.
  std::optional<KvPageId> take();
  /// Gives a page back that take() gave.
  void give_back(KvPageId page);

  bool is_taken(KvPageId page) const { return taken_[page.value]; }
  uint32_t capacity() const { return static_cast<uint32_t>(taken_.size()); }
  uint32_t free_count() const { return static_cast<uint32_t>(free_.size()); }
  uint32_t taken_count() const { return capacity() - free_count(); }

  /// Ends the process (PIE_CHECK) when free list and marks disagree. O(capacity).
  void check_invariants() const;

 private:
  std::vector<bool> taken_;     // by page
  std::vector<KvPageId> free_;  // a heap: smallest first, so that neighbours stay together
};

}  // namespace pie::kv
