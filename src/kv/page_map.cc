#include "kv/page_map.h"

#include <algorithm>

#include "base/check.h"

namespace pie::kv {

PageMap::PageMap(const PageMapConfig& config)
    : page_size_(config.page_size),
      frames_(config.page_count, config.swap_page_count),
      cache_(frames_, config.page_size, config.salt) {
  frames_.on_forget([this](FrameId frame) { cache_.forget(frame); });
}

std::optional<FrameId> PageMap::frame(SlotId slot) const {
  return slot.value < bindings_.size() ? bindings_[slot.value].frame : std::nullopt;
}

std::vector<std::optional<FrameId>> PageMap::frames(std::span<const SlotId> slots) const {
  std::vector<std::optional<FrameId>> result;
  result.reserve(slots.size());
  for (const SlotId slot : slots) result.push_back(frame(slot));
  return result;
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
  std::vector<SlotId> dead = ledger_.take_dead();
  for (const SlotId slot : dead) {
    dead_.push_back(slot);
    if (frame(slot)) detach(slot);
  }
}

PageMap::Binding& PageMap::binding(SlotId slot) {
  if (slot.value >= bindings_.size()) bindings_.resize(slot.value + 1);
  return bindings_[slot.value];
}

void PageMap::count_held(InstanceId owner, int by) {
  if (owner == kExports) return;
  changed_.insert(owner);
  uint32_t& held = held_[owner];
  held += static_cast<uint32_t>(by);
  if (held == 0) held_.erase(owner);
}

/// The frame got a page, or lost it.
void PageMap::count_page(FrameId frame, int by) {
  for (const SlotId slot : frames_[frame].slots) count_held(bindings_[slot.value].owner, by);
}

void PageMap::attach(SlotId slot, InstanceId owner, FrameId frame) {
  Frame& f = frames_.at(frame);
  if (f.slots.empty()) frames_.revive(frame);
  Binding& b = binding(slot);
  b.frame = frame;
  b.owner = owner;
  b.index = static_cast<uint32_t>(f.slots.size());
  f.slots.push_back(slot);
  if (f.page) count_held(owner, 1);
}

void PageMap::detach(SlotId slot) {
  Binding& b = binding(slot);
  const FrameId frame = *std::exchange(b.frame, std::nullopt);
  Frame& f = frames_.at(frame);
  if (f.page) count_held(b.owner, -1);
  bindings_[f.slots.back().value].index = b.index;
  f.slots[b.index] = f.slots.back();
  f.slots.pop_back();
  frames_.settle(frame);
}

bool PageMap::is_copied(SlotId slot) const { return frames_[*frame(slot)].slots.size() > 1; }

uint32_t PageMap::missing_count(std::span<const SlotId> slots, uint32_t context_len,
                                const Match& match) {
  const size_t first_written = context_len / page_size_;
  uint32_t missing = 0;
  ++count_number_;
  frames_counted_.resize(frames_.size(), 0);
  const auto count_load = [&](FrameId id) {
    const bool counted = std::exchange(frames_counted_[id.value], count_number_) == count_number_;
    missing += counted || frames_[id].page ? 0 : 1;
  };
  for (size_t i = 0; i < slots.size(); ++i) {
    if (i >= match.first && i - match.first < match.frames.size()) {
      const FrameId found = match.frames[i - match.first];
      count_load(found);
      // What is taken from among the unused cannot be given to others.
      const Frame& f = frames_[found];
      missing += f.page && f.slots.empty() && f.users == 0 && f.io == Frame::Io::kNone ? 1 : 0;
      continue;
    }
    if (const auto bound = frame(slots[i])) {
      if (i >= first_written && is_copied(slots[i])) {
        ++missing;
      } else {
        count_load(*bound);
      }
      continue;
    }
    Binding& b = binding(slots[i]);
    missing += b.counted == count_number_ ? 0 : 1;
    b.counted = count_number_;
  }
  return missing;
}

void PageMap::copy_for_write(SlotId slot, InstanceId owner, Bindings& out) {
  const FrameId from = *frame(slot);
  const FrameId to = frames_.make();
  cache_.copied(from, to);
  const Frame& source = frames_[from];
  if (source.page && source.io != Frame::Io::kLoading) {
    out.pages.push_back({source.page, *frames_[to].page});
  } else {
    out.loads.push_back(frames_.load_into(to, *source.disk));
  }
  frames_.at(to).lost = frames_[from].lost;  // also what was stored again after it was lost
  detach(slot);
  attach(slot, owner, to);
}

bool PageMap::bind(InstanceId owner, std::span<const SlotId> slots, uint32_t context_len,
                   const Match& match, Bindings& out) {
  if (missing_count(slots, context_len, match) > frames_.available()) return false;
  const size_t first_written = context_len / page_size_;
  for (size_t i = 0; i < match.frames.size(); ++i) {
    const SlotId slot = slots[match.first + i];
    if (frame(slot) == match.frames[i]) continue;
    const std::optional<FrameId> old = frame(slot);
    if (old) detach(slot);
    attach(slot, owner, match.frames[i]);
  }
  for (size_t i = 0; i < slots.size(); ++i) {
    const SlotId slot = slots[i];
    if (!frame(slot)) {
      const FrameId made = frames_.make();
      out.pages.push_back({std::nullopt, *frames_[made].page});
      attach(slot, owner, made);
      continue;
    }
    const FrameId bound = *frame(slot);
    if (i >= first_written && is_copied(slot)) {
      copy_for_write(slot, owner, out);
    } else if (!frames_[bound].page) {
      out.loads.push_back(frames_.load(bound));
      count_page(bound, 1);
    } else if (frames_[bound].io == Frame::Io::kStoring) {
      frames_.at(bound).wanted = true;
    }
    if (i >= first_written)
      cache_.begin_write(*frame(slot), i == first_written ? context_len % page_size_ : 0);
  }
  return true;
}

void PageMap::share(SlotId from, InstanceId owner, SlotId to) {
  if (frame(to)) detach(to);
  if (const auto shared = frame(from)) attach(to, owner, *shared);
}

void PageMap::attach_disk_page(InstanceId owner, SlotId slot, DiskPage disk) {
  PIE_CHECK(!frame(slot));
  attach(slot, owner, frames_.make_on_disk(disk));
}

void PageMap::use(std::span<const FrameId> frames) {
  for (const FrameId frame : frames) {
    ++frames_.at(frame).users;
    frames_.at(frame).wanted = true;  // should it be on its way out
    frames_.use(frame);
  }
}

bool PageMap::ready(std::span<const FrameId> frames) const {
  return std::all_of(frames.begin(), frames.end(),
                     [&](FrameId frame) { return frames_[frame].ready(); });
}

bool PageMap::any_lost(std::span<const FrameId> frames) const {
  return std::any_of(frames.begin(), frames.end(),
                     [&](FrameId frame) { return frames_[frame].lost; });
}

void PageMap::begin_write(std::span<const FrameId> frames) {
  for (const FrameId frame : frames) frames_.drop_disk_copy(frame);
}

void PageMap::unuse(std::span<const FrameId> frames) {
  for (const FrameId frame : frames) {
    PIE_CHECK(frames_[frame].users > 0);
    --frames_.at(frame).users;
    frames_.settle(frame);
  }
}

Eviction PageMap::store(FrameId frame) {
  if (frames_[frame].disk) count_page(frame, -1);
  return frames_.store(frame);
}

void PageMap::loaded(FrameId frame, DiskOutcome outcome) {
  if (outcome == DiskOutcome::kFailed) cache_.begin_write(frame, 0);
  frames_.loaded(frame, outcome);
}

void PageMap::stored(FrameId frame, DiskOutcome outcome) {
  const Frame& f = frames_[frame];
  if (outcome == DiskOutcome::kDone && !f.wanted && !f.slots.empty()) count_page(frame, -1);
  frames_.stored(frame, outcome);
}

uint32_t PageMap::held_count(InstanceId owner) const {
  const auto held = held_.find(owner);
  return held == held_.end() ? 0 : held->second;
}

void PageMap::check_invariants() const {
  frames_.check_invariants();
  cache_.check_invariants();
  ledger_.check_invariants();
  std::vector<size_t> references(frames_.size(), 0);
  std::map<InstanceId, uint32_t> held;
  for (uint32_t i = 0; i < bindings_.size(); ++i) {
    const Binding& b = bindings_[i];
    if (!b.frame) continue;
    ++references[b.frame->value];
    const Frame& f = frames_[*b.frame];
    PIE_CHECK(f.slots[b.index] == SlotId{i});
    if (b.owner != kExports && f.page) ++held[b.owner];
  }
  PIE_CHECK(held == held_);
  for (uint32_t i = 0; i < references.size(); ++i)
    PIE_CHECK(references[i] == frames_[FrameId{i}].slots.size());
}

}  // namespace pie::kv
