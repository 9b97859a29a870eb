#include "kv/page_map.h"

#include "base/check.h"

namespace pie::kv {

PageMap::PageMap(uint32_t page_count) : pool_(page_count) {}

bool PageMap::bound(SlotId slot) const {
  return slot.value < bindings_.size() && bindings_[slot.value].page.has_value();
}

void PageMap::unpin(std::span<const SlotId> slots) {
  ledger_.unpin(slots);
  unbind_dead();
}

void PageMap::release(SlotId slot) {
  ledger_.release(slot);
  unbind_dead();
}

void PageMap::unbind_dead() {
  for (const SlotId slot : ledger_.take_dead()) {
    dead_.push_back(slot);
    if (!bound(slot)) continue;
    Binding& b = binding(slot);
    pool_.release(*b.page);
    b.page.reset();
    const auto held = held_.find(b.owner);
    PIE_CHECK(held != held_.end());
    if (--held->second == 0) held_.erase(held);
  }
}

PageMap::Binding& PageMap::binding(SlotId slot) {
  if (slot.value >= bindings_.size()) bindings_.resize(slot.value + 1);
  return bindings_[slot.value];
}

uint32_t PageMap::missing_count(std::span<const SlotId> slots) {
  uint32_t missing = 0;
  ++count_number_;
  for (const SlotId slot : slots) {
    if (bound(slot)) continue;
    Binding& b = binding(slot);
    missing += b.counted == count_number_ ? 0 : 1;
    b.counted = count_number_;
  }
  return missing;
}

bool PageMap::bind(InstanceId owner, std::span<const SlotId> slots, std::vector<KvPageId>& fresh) {
  const uint32_t missing = missing_count(slots);
  if (missing == 0) return true;
  Result<std::vector<KvPageId>> pages = pool_.allocate(missing);
  if (!pages.ok()) return false;
  fresh.insert(fresh.end(), pages->begin(), pages->end());
  auto next = pages->begin();
  for (const SlotId slot : slots) {
    if (bound(slot)) continue;
    Binding& b = binding(slot);
    b.page = *next++;
    b.owner = owner;
  }
  PIE_CHECK(next == pages->end());
  held_[owner] += missing;
  return true;
}

KvPageId PageMap::page(SlotId slot) const {
  PIE_CHECK(bound(slot));
  return *bindings_[slot.value].page;
}

uint32_t PageMap::held_count(InstanceId owner) const {
  const auto held = held_.find(owner);
  return held == held_.end() ? 0 : held->second;
}

void PageMap::check_invariants() const {
  pool_.check_invariants();
  ledger_.check_invariants();
  std::vector<uint32_t> references(pool_.capacity(), 0);
  std::map<InstanceId, uint32_t> held;
  for (const Binding& b : bindings_) {
    if (!b.page) continue;
    ++references[b.page->value];
    ++held[b.owner];
  }
  PIE_CHECK(held == held_);
  for (uint32_t page = 0; page < references.size(); ++page) {
    PIE_CHECK(references[page] == pool_.reference_count(KvPageId{page}));
  }
}

}  // namespace pie::kv
