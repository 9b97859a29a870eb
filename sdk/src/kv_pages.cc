#include "pie/kv_pages.h"

#include <algorithm>

namespace inferlet {
namespace {

/// How many pages are fetched at a time, and how many unused ones are kept.
constexpr size_t kChunk = 8;
constexpr size_t kUnusedMax = 32;

}  // namespace

KvPage::~KvPage() { pool_->give_back(number_); }

KvPages::~KvPages() {
  if (!free_.empty()) queue_.deallocate(ResourceType::kKvPage, free_);
}

std::vector<std::shared_ptr<const KvPage>> KvPages::take(size_t count) {
  if (count > free_.size()) {
    const size_t wanted = std::max(count - free_.size(), kChunk);
    const std::vector<uint32_t> fresh = queue_.allocate(ResourceType::kKvPage, wanted);
    free_.insert(free_.end(), fresh.rbegin(), fresh.rend());
  }
  std::vector<std::shared_ptr<const KvPage>> pages;
  pages.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    pages.push_back(std::make_shared<KvPage>(shared_from_this(), free_.back()));
    free_.pop_back();
  }
  return pages;
}

void KvPages::give_back(uint32_t number) {
  free_.push_back(number);
  if (free_.size() <= kUnusedMax) return;
  queue_.deallocate(ResourceType::kKvPage, std::span(free_).subspan(kChunk));
  free_.resize(kChunk);
}

}  // namespace inferlet
