#include "kv/page_pool.h"

#include <algorithm>
#include <functional>
#include <string>

#include "base/check.h"

namespace pie::kv {

PagePool::PagePool(uint32_t capacity) : references_(capacity, 0) {
  free_.reserve(capacity);
  for (uint32_t page = 0; page < capacity; ++page) free_.emplace_back(page);
}

Result<std::vector<KvPageId>> PagePool::allocate(uint32_t count) {
  if (count > free_.size()) {
    return Error{ErrorCode::kResourceExhausted,
                 "[KV pool] got a request for " + std::to_string(count) +
                     " pages, expected at most " + std::to_string(free_.size()) + " (free of " +
                     std::to_string(capacity()) + ")"};
  }
  std::vector<KvPageId> pages;
  pages.reserve(count);
  for (uint32_t i = 0; i < count; ++i) {
    std::pop_heap(free_.begin(), free_.end(), std::greater<>());
    pages.push_back(free_.back());
    references_[free_.back().value] = 1;
    free_.pop_back();
  }
  return pages;
}

void PagePool::retain(KvPageId page) {
  PIE_CHECK(page.value < references_.size());
  PIE_CHECK(references_[page.value] > 0);
  ++references_[page.value];
}

void PagePool::release(KvPageId page) {
  PIE_CHECK(page.value < references_.size());
  PIE_CHECK(references_[page.value] > 0);
  if (--references_[page.value] > 0) return;
  free_.push_back(page);
  std::push_heap(free_.begin(), free_.end(), std::greater<>());
}

uint32_t PagePool::reference_count(KvPageId page) const {
  PIE_CHECK(page.value < references_.size());
  return references_[page.value];
}

void PagePool::check_invariants() const {
  uint32_t live = 0;
  for (const uint32_t count : references_) live += count > 0 ? 1 : 0;
  PIE_CHECK(live == live_count());
  std::vector<bool> seen(references_.size(), false);
  for (const KvPageId page : free_) {
    PIE_CHECK(references_[page.value] == 0);
    PIE_CHECK(!seen[page.value]);
    seen[page.value] = true;
  }
}

}  // namespace pie::kv
