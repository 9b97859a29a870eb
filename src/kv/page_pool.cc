#include "kv/page_pool.h"

#include <string>

#include "base/check.h"

namespace pie::kv {

PagePool::PagePool(uint32_t capacity) : references_(capacity, 0) {
  free_.reserve(capacity);
  for (uint32_t page = capacity; page > 0; --page) free_.emplace_back(page - 1);
}

Result<std::vector<KvPageId>> PagePool::allocate(uint32_t count) {
  if (count > free_.size()) {
    return Error{ErrorCode::kResourceExhausted,
                 "[KV pool] got a request for " + std::to_string(count) +
                     " pages, expected at most " + std::to_string(free_.size()) + " (free of " +
                     std::to_string(capacity()) + ")"};
  }
  std::vector<KvPageId> pages(free_.rbegin(), free_.rbegin() + count);
  free_.resize(free_.size() - count);
  for (const KvPageId page : pages) references_[page.value] = 1;
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
  if (--references_[page.value] == 0) free_.push_back(page);
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
