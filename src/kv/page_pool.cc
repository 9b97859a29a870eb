#include "kv/page_pool.h"

#include <algorithm>
#include <functional>

#include "base/check.h"

namespace pie::kv {

PagePool::PagePool(uint32_t capacity) : taken_(capacity, false) {
  free_.reserve(capacity);
  for (uint32_t page = 0; page < capacity; ++page) free_.emplace_back(page);
}

std::optional<KvPageId> PagePool::take() {
  if (free_.empty()) return std::nullopt;
  std::pop_heap(free_.begin(), free_.end(), std::greater<>());
  const KvPageId page = free_.back();
  free_.pop_back();
  taken_[page.value] = true;
  return page;
}

void PagePool::give_back(KvPageId page) {
  PIE_CHECK(page.value < taken_.size());
  PIE_CHECK(taken_[page.value]);
  taken_[page.value] = false;
  free_.push_back(page);
  std::push_heap(free_.begin(), free_.end(), std::greater<>());
}

void PagePool::check_invariants() const {
  std::vector<bool> seen(taken_.size(), false);
  for (const KvPageId page : free_) {
    PIE_CHECK(!taken_[page.value]);
    PIE_CHECK(!seen[page.value]);
    seen[page.value] = true;
  }
  PIE_CHECK(taken_count() == static_cast<uint32_t>(std::count(taken_.begin(), taken_.end(), true)));
}

}  // namespace pie::kv
