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

bool PageMap::is_shared(SlotId slot) const {
  return pool_.reference_count(*bindings_[slot.value].page) > 1;
}

void PageMap::attach(SlotId slot, InstanceId owner, KvPageId page) {
  Binding& b = binding(slot);
  b.page = page;
  b.owner = owner;
  if (owner != kExports) ++held_[owner];
}

void PageMap::detach(SlotId slot) {
  Binding& b = binding(slot);
  pool_.release(*b.page);
  b.page.reset();
  if (b.owner == kExports) return;
  const auto held = held_.find(b.owner);
  PIE_CHECK(held != held_.end());
  if (--held->second == 0) held_.erase(held);
}

void PageMap::unbind_dead() {
  for (const SlotId slot : ledger_.take_dead()) {
    dead_.push_back(slot);
    if (bound(slot)) detach(slot);
  }
}

PageMap::Binding& PageMap::binding(SlotId slot) {
  if (slot.value >= bindings_.size()) bindings_.resize(slot.value + 1);
  return bindings_[slot.value];
}

uint32_t PageMap::missing_count(std::span<const SlotId> slots, size_t first_written) {
  uint32_t missing = 0;
  ++count_number_;
  for (size_t i = 0; i < slots.size(); ++i) {
    if (bound(slots[i])) {
      missing += i >= first_written && is_shared(slots[i]) ? 1 : 0;
      continue;
    }
    Binding& b = binding(slots[i]);
    missing += b.counted == count_number_ ? 0 : 1;
    b.counted = count_number_;
  }
  return missing;
}

bool PageMap::bind(InstanceId owner, std::span<const SlotId> slots, size_t first_written,
                   std::vector<KvPageId>& fresh, std::vector<PageCopy>& copies) {
  const uint32_t missing = missing_count(slots, first_written);
  if (missing == 0) return true;
  Result<std::vector<KvPageId>> pages = pool_.allocate(missing);
  if (!pages.ok()) return false;
  auto next = pages->begin();
  for (size_t i = 0; i < slots.size(); ++i) {
    if (!bound(slots[i])) {
      fresh.push_back(*next);
      attach(slots[i], owner, *next++);
    } else if (i >= first_written && next != pages->end() && is_shared(slots[i])) {
      copies.push_back({page(slots[i]), *next});
      detach(slots[i]);
      attach(slots[i], owner, *next++);
    }
  }
  // Two slots of this list may have shared one page: the second copy is not needed any more.
  for (; next != pages->end(); ++next) pool_.release(*next);
  return true;
}

void PageMap::share(SlotId from, InstanceId owner, SlotId to) {
  if (bound(to)) detach(to);
  if (!bound(from)) return;
  const KvPageId shared = page(from);
  pool_.retain(shared);
  attach(to, owner, shared);
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
    if (b.owner != kExports) ++held[b.owner];
  }
  PIE_CHECK(held == held_);
  for (uint32_t page = 0; page < references.size(); ++page) {
    PIE_CHECK(references[page] == pool_.reference_count(KvPageId{page}));
  }
}

}  // namespace pie::kv
