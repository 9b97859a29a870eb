#include "kv/frame_table.h"

#include <algorithm>

#include "base/check.h"

namespace pie::kv {

FrameTable::FrameTable(uint32_t page_count, uint32_t swap_page_count)
    : pool_(page_count), swap_(swap_page_count) {}

FrameId FrameTable::take_id() {
  if (free_.empty()) {
    frames_.emplace_back();
    return FrameId{size() - 1};
  }
  const FrameId id = free_.back();
  free_.pop_back();
  return id;
}

KvPageId FrameTable::take_page() {
  if (pool_.free_count() == 0) {
    PIE_CHECK(!unused_.empty());
    destroy(std::get<FrameId>(*unused_.begin()));
  }
  return *pool_.take();
}

FrameId FrameTable::make() {
  const KvPageId page = take_page();
  const FrameId id = take_id();
  at(id).page = page;
  return id;
}

FrameId FrameTable::make_on_disk(DiskPage disk) {
  const FrameId id = take_id();
  at(id).disk = disk;
  return id;
}

void FrameTable::revive(FrameId frame) { unused_.erase(order(frame)); }

void FrameTable::settle(FrameId frame) {
  const Frame& f = frames_[frame.value];
  if (!is_idle(f)) return;
  if (f.kept && f.page) {
    drop_disk_copy(frame);
    unused_.insert(order(frame));
  } else {
    destroy(frame);
  }
}

void FrameTable::keep(FrameId frame, uint32_t depth) {
  unused_.erase(order(frame));
  at(frame).kept = true;
  at(frame).depth = depth;
  settle(frame);
}

void FrameTable::stop_keeping(FrameId frame) {
  unused_.erase(order(frame));
  at(frame).kept = false;
  at(frame).depth = 0;
  settle(frame);
}

void FrameTable::drop_disk_copy(FrameId frame) {
  std::optional<DiskPage>& disk = at(frame).disk;
  if (!disk) return;
  if (disk->file == 0) {
    swap_.give_back(KvPageId{disk->page});
  } else {
    released_.push_back(*disk);
  }
  disk.reset();
}

void FrameTable::destroy(FrameId frame) {
  unused_.erase(order(frame));
  if (on_forget_) on_forget_(frame);
  drop_disk_copy(frame);
  if (const auto page = frames_[frame.value].page) pool_.give_back(*page);
  at(frame) = Frame{};
  free_.push_back(frame);
}

PageLoad FrameTable::load(FrameId frame) {
  PIE_CHECK(!frames_[frame.value].page && frames_[frame.value].disk);
  const KvPageId page = take_page();
  Frame& f = at(frame);
  f.page = page;
  return load_into(frame, *f.disk);
}

PageLoad FrameTable::load_into(FrameId frame, DiskPage from) {
  Frame& f = at(frame);
  f.io = Frame::Io::kLoading;
  ++io_count_;
  return {frame, from, *f.page};
}

std::optional<KvPageId> FrameTable::take_swap_place() {
  if (const auto place = swap_.take()) return place;
  // What is in the pool as well does not need its copy.
  for (uint32_t i = 0; i < size() && swap_.capacity() > 0; ++i) {
    const Frame& f = frames_[i];
    if (!f.ready() || !f.disk || f.disk->file != 0) continue;
    drop_disk_copy(FrameId{i});
    return swap_.take();
  }
  return std::nullopt;
}

Eviction FrameTable::store(FrameId frame) {
  PIE_CHECK(frames_[frame.value].ready() && frames_[frame.value].users == 0);
  if (frames_[frame.value].disk) {
    Frame& f = at(frame);
    pool_.give_back(*f.page);
    f.page.reset();
    return {.store = {}, .is_free = true};
  }
  const std::optional<KvPageId> place = take_swap_place();
  if (!place) return {};
  Frame& f = at(frame);
  f.disk = DiskPage{0, place->value};
  f.io = Frame::Io::kStoring;
  f.wanted = false;
  ++io_count_;
  ++storing_count_;
  return {.store = PageStore{frame, *f.page, *f.disk}};
}

void FrameTable::loaded(FrameId frame, DiskOutcome outcome) {
  Frame& f = at(frame);
  PIE_CHECK(f.io == Frame::Io::kLoading);
  --io_count_;
  f.io = Frame::Io::kNone;
  if (outcome == DiskOutcome::kFailed) {
    drop_disk_copy(frame);
    f.lost = true;
  }
  settle(frame);
}

void FrameTable::stored(FrameId frame, DiskOutcome outcome) {
  Frame& f = at(frame);
  PIE_CHECK(f.io == Frame::Io::kStoring);
  --io_count_;
  --storing_count_;
  f.io = Frame::Io::kNone;
  if (outcome == DiskOutcome::kFailed) {
    drop_disk_copy(frame);
  } else if (!f.wanted && !f.slots.empty()) {
    pool_.give_back(*f.page);
    f.page.reset();
  }
  f.wanted = false;
  settle(frame);
}

void FrameTable::check_invariants() const {
  pool_.check_invariants();
  swap_.check_invariants();
  std::vector<uint32_t> pages(pool_.capacity(), 0);
  std::vector<uint32_t> places(swap_.capacity(), 0);
  size_t unused = 0;
  for (uint32_t i = 0; i < size(); ++i) {
    const Frame& f = frames_[i];
    const bool exists = f.page || f.disk;
    if (f.page) ++pages[f.page->value];
    if (f.disk && f.disk->file == 0) ++places[f.disk->page];
    if (exists && is_idle(f)) {
      PIE_CHECK(f.kept && f.page);
      PIE_CHECK(unused_.contains(order(FrameId{i})));
      ++unused;
    }
    if (f.users > 0) PIE_CHECK(f.page.has_value());
    if (!exists) PIE_CHECK(f.slots.empty() && f.users == 0 && !f.kept);
  }
  PIE_CHECK(unused == unused_.size());
  for (uint32_t i = 0; i < pages.size(); ++i)
    PIE_CHECK(pages[i] == (pool_.is_taken(KvPageId{i}) ? 1 : 0));
  for (uint32_t i = 0; i < places.size(); ++i)
    PIE_CHECK(places[i] == (swap_.is_taken(KvPageId{i}) ? 1 : 0));
}

}  // namespace pie::kv
