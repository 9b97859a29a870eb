#pragma once
#include <cstdint>
#include <vector>

#include "base/result.h"
#include "base/strong_id.h"

namespace pie::kv {

/// Reference counts and free list of a fixed set of KV pages.
/// Accounting only: the tensors belong to the executor and are indexed by KvPageId.
/// Thread: engine only. Invariant: free_count() + live_count() == capacity().
class PagePool {
 public:
  explicit PagePool(uint32_t capacity);

  /// Takes `count` pages, smallest first, one reference each. All or nothing: on kResourceExhausted
  /// the pool is unchanged.
  Result<std::vector<KvPageId>> allocate(uint32_t count);
  /// One more reference to a live page.
  void retain(KvPageId page);
  /// One reference less; the page is free again when it was the last one.
  void release(KvPageId page);

  uint32_t reference_count(KvPageId page) const;
  uint32_t capacity() const { return static_cast<uint32_t>(references_.size()); }
  uint32_t free_count() const { return static_cast<uint32_t>(free_.size()); }
  uint32_t live_count() const { return capacity() - free_count(); }

  /// Ends the process (PIE_CHECK) when free list and reference counts disagree. O(capacity).
  void check_invariants() const;

 private:
  std::vector<uint32_t> references_;  // by page
  std::vector<KvPageId> free_;        // a heap: smallest first, so that neighbours stay together
};

}  // namespace pie::kv
