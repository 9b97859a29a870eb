#include <gtest/gtest.h>

#include <algorithm>

#include "kv/page_map.h"
#include "kv/page_pool.h"
#include "kv/pointer_table.h"

namespace pie::kv {
namespace {

constexpr InstanceId kA{1};
constexpr InstanceId kB{2};

TEST(PagePool, smallest_free_page_first) {
  PagePool pool(3);
  for (uint32_t i = 0; i < 3; ++i) EXPECT_EQ(pool.take(), KvPageId{i});
  EXPECT_FALSE(pool.take());
  pool.give_back(KvPageId{2});
  pool.give_back(KvPageId{0});
  EXPECT_EQ(pool.taken_count(), 1u);
  EXPECT_EQ(pool.take(), KvPageId{0});
  pool.check_invariants();
}

TEST(PointerTable, smallest_free_number_first_from_zero) {
  PointerTable table;
  for (uint32_t i = 0; i < 5; ++i) EXPECT_EQ(table.map(SlotId{100 + i}), i);
  EXPECT_EQ(table.unmap(3), SlotId{103});
  EXPECT_EQ(table.unmap(1), SlotId{101});
  EXPECT_EQ(table.map(SlotId{7}), 1u);
  EXPECT_EQ(table.map(SlotId{8}), 3u);
  EXPECT_EQ(table.map(SlotId{9}), 5u);
  EXPECT_EQ(table.find(3), SlotId{8});
  table.check_invariants();
}

TEST(PointerTable, unmapped_numbers_are_not_found) {
  PointerTable table;
  EXPECT_FALSE(table.find(0));
  table.map(SlotId{1});
  EXPECT_TRUE(table.unmap(0));
  EXPECT_FALSE(table.unmap(0));
  EXPECT_FALSE(table.find(0));
  EXPECT_FALSE(table.find(UINT32_MAX));
}

constexpr uint32_t kSize = 4;    // tokens of a page
constexpr uint32_t kRead = 400;  // a context that long: the pass writes none of its pages

/// A page map and what its user keeps.
struct Pages {
  explicit Pages(uint32_t page_count, uint32_t swap_page_count = 0)
      : map({page_count, kSize, swap_page_count, 7}) {}
  bool bind(InstanceId owner, const std::vector<SlotId>& slots, uint32_t context_len = kRead,
            const Match& match = {}) {
    out = {};
    return map.bind(owner, slots, context_len, match, out);
  }
  KvPageId page(SlotId slot) { return *map.frame_table()[*map.frame(slot)].page; }
  std::vector<FrameId> frames(const std::vector<SlotId>& slots) {
    std::vector<FrameId> list;
    for (const SlotId slot : slots) list.push_back(*map.frame(slot));
    return list;
  }

  PageMap map;
  Bindings out;
};

TEST(PageMap, pages_are_bound_when_needed_and_only_once) {
  Pages p(4);
  const std::vector<SlotId> slots{SlotId{5}, SlotId{6}, SlotId{5}};
  EXPECT_EQ(p.map.missing_count(slots, kRead), 2u);
  ASSERT_TRUE(p.bind(kA, slots));
  EXPECT_EQ(p.out.fresh_count(), 2u);
  EXPECT_NE(p.page(SlotId{5}), p.page(SlotId{6}));
  EXPECT_EQ(p.map.held_count(kA), 2u);
  ASSERT_TRUE(p.bind(kA, slots));
  EXPECT_TRUE(p.out.pages.empty());
  p.map.check_invariants();
}

TEST(PageMap, a_bind_that_does_not_fit_changes_nothing) {
  Pages p(2);
  ASSERT_TRUE(p.bind(kA, {SlotId{0}}));
  EXPECT_FALSE(p.bind(kB, {SlotId{1}, SlotId{2}}));
  EXPECT_TRUE(p.out.pages.empty());
  EXPECT_EQ(p.map.held_count(kB), 0u);
  EXPECT_EQ(p.map.live_count(), 1u);
  p.map.check_invariants();
}

TEST(PageMap, a_released_page_stays_while_a_pass_waits_for_it) {
  Pages p(1);
  const std::vector<SlotId> slots{SlotId{0}};
  p.map.pin(slots);
  ASSERT_TRUE(p.bind(kA, slots));
  p.map.release(SlotId{0});
  EXPECT_EQ(p.map.live_count(), 1u);
  EXPECT_TRUE(p.map.take_dead_slots().empty()) << "the id must not be used again yet";
  p.map.unpin(slots);
  EXPECT_EQ(p.map.live_count(), 0u);
  EXPECT_EQ(p.map.take_dead_slots(), slots);
  EXPECT_TRUE(p.map.holders().empty());
  p.map.check_invariants();
}

TEST(PageMap, says_whose_count_of_pages_changed_and_of_nobody_else) {
  Pages p(300);
  for (uint32_t i = 0; i < 200; ++i) ASSERT_TRUE(p.bind(InstanceId{i + 1}, {SlotId{i}}));
  EXPECT_EQ(p.map.take_changed_holders().size(), 200u);
  p.map.release(SlotId{7});
  EXPECT_EQ(p.map.take_changed_holders(), std::set<InstanceId>{InstanceId{8}});
  EXPECT_EQ(p.map.held_count(InstanceId{8}), 0u);
  EXPECT_TRUE(p.map.take_changed_holders().empty());
}

TEST(PrefixIndex, domains_of_which_nothing_is_known_any_more_are_forgotten) {
  PrefixIndex index(1);
  const std::vector<uint32_t> page{1, 2, 3};
  const PrefixId kept = index.insert(index.root(1), page);
  for (uint32_t domain = 2; domain < 10'000; ++domain)
    index.unref(index.insert(index.root(domain), page));
  EXPECT_LT(index.size(), 200u);
  EXPECT_EQ(index.find(index.root(1), page), kept);
  index.check_invariants();
}

TEST(PageMap, a_slot_that_never_got_a_page_dies_quietly) {
  Pages p(1);
  p.map.release(SlotId{9});
  EXPECT_EQ(p.map.take_dead_slots(), std::vector{SlotId{9}});
  p.map.check_invariants();
}

TEST(PageMap, a_shared_page_is_copied_before_it_is_written_and_only_then) {
  Pages p(4);
  const std::vector<SlotId> mine{SlotId{0}, SlotId{1}};
  const std::vector<SlotId> exported{SlotId{2}, SlotId{3}};
  const std::vector<SlotId> theirs{SlotId{4}, SlotId{5}};
  ASSERT_TRUE(p.bind(kA, mine, 0));
  for (size_t i = 0; i < 2; ++i) p.map.share(mine[i], kExports, exported[i]);
  for (size_t i = 0; i < 2; ++i) p.map.share(exported[i], kB, theirs[i]);
  EXPECT_EQ(p.map.live_count(), 2u);
  EXPECT_EQ(p.map.held_count(kB), 2u);
  EXPECT_EQ(p.map.holders().size(), 2u);  // an export is nobody that could wait
  // B reads page 0 and writes page 1.
  EXPECT_EQ(p.map.missing_count(theirs, kSize), 1u);
  ASSERT_TRUE(p.bind(kB, theirs, kSize));
  EXPECT_EQ(p.out.pages, (std::vector<PageSetup>{{p.page(mine[1]), p.page(theirs[1])}}));
  EXPECT_EQ(p.page(theirs[0]), p.page(mine[0]));
  EXPECT_EQ(p.page(exported[1]), p.page(mine[1]));
  // It is B's own now; and A's is not copied once nobody else refers to it.
  EXPECT_EQ(p.map.missing_count(theirs, kSize), 0u);
  for (const SlotId slot : exported) p.map.release(slot);
  EXPECT_EQ(p.map.missing_count(mine, kSize), 0u);
  EXPECT_EQ(p.map.missing_count(mine, 0), 1u);
  p.map.check_invariants();
  for (const SlotId slot : mine) p.map.release(slot);
  for (const SlotId slot : theirs) p.map.release(slot);
  EXPECT_EQ(p.map.live_count(), 0u);
  p.map.check_invariants();
}

TEST(PageMap, sharing_a_slot_without_a_page_shares_its_emptiness) {
  Pages p(2);
  p.map.share(SlotId{0}, kB, SlotId{1});
  ASSERT_TRUE(p.bind(kB, {SlotId{1}}, 0));
  EXPECT_EQ(p.out.pages.size(), 1u);
  EXPECT_EQ(p.out.fresh_count(), 1u);
  p.map.check_invariants();
}

PassContent text(uint32_t domain, const std::vector<uint32_t>& tokens, uint32_t position = 0) {
  PassContent content{.domain = domain};
  for (const uint32_t token : tokens) {
    content.words.insert(content.words.end(), {token, position++, 0});
    content.ends.push_back(static_cast<uint32_t>(content.words.size()));
  }
  return content;
}

const std::vector<uint32_t> kTen{1, 2, 3, 4, 5, 6, 7, 8, 9, 10};

TEST(PrefixCache, full_pages_are_found_by_the_same_domain_after_their_owner_is_gone) {
  Pages p(4);
  const std::vector<SlotId> mine{SlotId{0}, SlotId{1}, SlotId{2}};
  ASSERT_TRUE(p.bind(kA, mine, 0));
  const std::vector<FrameId> frames = p.frames(mine);
  p.map.cache().wrote(frames, text(1, kTen), {0, 0, 10});
  for (const SlotId slot : mine) p.map.release(slot);
  EXPECT_EQ(p.map.live_count(), 0u);
  EXPECT_EQ(p.map.frame_table().unused_count(), 2u) << "two full pages; the third is no page yet";
  const std::vector<std::optional<FrameId>> none(3);
  EXPECT_EQ(p.map.cache().match(none, 0, text(1, kTen), 10).token_count, 8u);
  EXPECT_EQ(p.map.cache().match(none, 0, text(1, kTen), 7).token_count, 4u) << "asked for token 7";
  EXPECT_EQ(p.map.cache().match(none, 0, text(2, kTen), 10).token_count, 0u) << "another user";
  EXPECT_EQ(p.map.cache().match(none, 0, text(1, kTen, 5), 10).token_count, 0u) << "elsewhere";
  std::vector<uint32_t> other = kTen;
  other[6] = 99;
  EXPECT_EQ(p.map.cache().match(none, 0, text(1, other), 10).token_count, 4u);

  const std::vector<SlotId> theirs{SlotId{3}, SlotId{4}, SlotId{5}};
  const Match match = p.map.cache().match(none, 0, text(1, kTen), 10);
  ASSERT_TRUE(p.bind(kB, theirs, 8, match));
  EXPECT_EQ(p.out.fresh_count(), 1u);
  EXPECT_EQ(p.frames({SlotId{3}, SlotId{4}}), (std::vector{frames[0], frames[1]}));
  EXPECT_EQ(p.map.held_count(kB), 3u);
  p.map.check_invariants();
}

TEST(PrefixCache, unused_pages_go_when_their_page_is_needed_last_pages_first) {
  Pages p(3);
  const std::vector<SlotId> mine{SlotId{0}, SlotId{1}};
  ASSERT_TRUE(p.bind(kA, mine, 0));
  p.map.cache().wrote(p.frames(mine), text(1, kTen), {0, 0, 8});
  for (const SlotId slot : mine) p.map.release(slot);
  ASSERT_TRUE(p.bind(kB, {SlotId{2}, SlotId{3}}, 0));
  const std::vector<std::optional<FrameId>> none(3);
  EXPECT_EQ(p.map.cache().match(none, 0, text(1, kTen), 10).token_count, 4u);
  ASSERT_TRUE(p.bind(kB, {SlotId{4}}, 0));
  EXPECT_EQ(p.map.cache().match(none, 0, text(1, kTen), 10).token_count, 0u);
  EXPECT_FALSE(p.bind(kB, {SlotId{5}}, 0));
  p.map.check_invariants();
}

TEST(PrefixCache, a_page_that_is_filled_token_by_token_is_found_and_a_rewritten_one_is_not) {
  Pages p(4);
  const std::vector<SlotId> mine{SlotId{0}, SlotId{1}};
  ASSERT_TRUE(p.bind(kA, mine, 0));
  for (uint32_t i = 0; i < 8; ++i)
    p.map.cache().wrote(p.frames(mine), text(1, {kTen[i]}, i), {i, 0, 1});
  const std::vector<std::optional<FrameId>> none(2);
  EXPECT_EQ(p.map.cache().match(none, 0, text(1, kTen), 10).token_count, 8u);
  // Rewritten from token 6 on: the second page is another one then.
  ASSERT_TRUE(p.bind(kA, mine, 6));
  EXPECT_EQ(p.map.cache().match(none, 0, text(1, kTen), 10).token_count, 4u);
  p.map.cache().wrote(p.frames(mine), text(1, {70, 80}, 6), {6, 0, 2});
  EXPECT_EQ(p.map.cache().match(none, 0, text(1, {1, 2, 3, 4, 5, 6, 70, 80}), 8).token_count, 8u);
  // What begins in the middle of a page is found by what is there already.
  ASSERT_TRUE(p.bind(kB, {SlotId{2}}, 0));
  p.map.cache().wrote(p.frames({SlotId{2}}), text(1, {1, 2}), {0, 0, 2});
  const Match rest =
      p.map.cache().match(p.map.frames(std::vector{SlotId{2}}), 2, text(1, {3, 4}, 2), 2);
  EXPECT_EQ(rest.frames, p.frames({SlotId{0}}));
  p.map.check_invariants();
}

TEST(PrefixCache, whoever_computes_a_page_is_waited_for_until_it_gives_up) {
  Pages p(4);
  const std::vector<std::optional<FrameId>> none(2);
  PrefixCache& cache = p.map.cache();
  const auto claims =
      cache.claim({.who = 5, .priority = Priority::kNormal}, none, text(1, kTen), {0, 0, 10});
  EXPECT_EQ(claims.size(), 2u);
  Match match = cache.match(none, 0, text(1, kTen), 10);
  ASSERT_NE(match.awaited, kNoPrefix);
  EXPECT_TRUE(cache.is_claimed(match.awaited, 5));
  cache.give_up(claims);
  match = cache.match(none, 0, text(1, kTen), 10);
  EXPECT_EQ(match.awaited, kNoPrefix);
  EXPECT_EQ(cache.index().size(), 1u) << "the root is left";
  p.map.check_invariants();
}

TEST(Swap, a_page_goes_to_disk_and_comes_back_and_its_copy_stays_true_until_it_is_written) {
  Pages p(1, 2);
  const std::vector<SlotId> mine{SlotId{0}};
  ASSERT_TRUE(p.bind(kA, mine, 0));
  const FrameId frame = p.frames(mine)[0];
  const auto [store, is_free] = p.map.store(frame);
  ASSERT_TRUE(store && !is_free);
  EXPECT_FALSE(p.bind(kB, {SlotId{1}}, 0)) << "on its way";
  p.map.stored(frame, DiskOutcome::kDone);
  EXPECT_EQ(p.map.held_count(kA), 0u);
  ASSERT_TRUE(p.bind(kB, {SlotId{1}}, 0));
  EXPECT_EQ(p.map.missing_count(mine, kRead), 1u);
  p.map.release(SlotId{1});
  ASSERT_TRUE(p.bind(kA, mine));
  ASSERT_EQ(p.out.loads.size(), 1u);
  EXPECT_EQ(p.out.loads[0].from, store->to);
  EXPECT_FALSE(p.map.ready(p.frames(mine)));
  p.map.loaded(frame, DiskOutcome::kDone);
  EXPECT_TRUE(p.map.ready(p.frames(mine)));
  const Eviction again = p.map.store(frame);
  EXPECT_FALSE(again.store);
  EXPECT_TRUE(again.is_free) << "the copy on disk is still true";
  ASSERT_TRUE(p.bind(kA, mine, 0));
  p.map.loaded(frame, DiskOutcome::kDone);
  p.map.begin_write(p.frames(mine));
  EXPECT_TRUE(p.map.store(frame).store) << "written: the copy is not true any more";
  p.map.release(SlotId{0});
  p.map.stored(frame, DiskOutcome::kDone);
  EXPECT_EQ(p.map.frame_table().pool().taken_count(), 0u);
  EXPECT_EQ(p.map.frame_table().swap_used(), 0u);
  p.map.check_invariants();
}

/// Stores the page of the slots' only frame, asks for it again, and fails to read it.
void lose(Pages& p, const std::vector<SlotId>& slots) {
  const FrameId frame = p.frames(slots)[0];
  ASSERT_TRUE(p.map.store(frame).store);
  p.map.stored(frame, DiskOutcome::kDone);
  ASSERT_TRUE(p.bind(kA, slots));
  EXPECT_FALSE(p.map.any_lost(p.frames(slots)));
  p.map.loaded(frame, DiskOutcome::kFailed);
  EXPECT_TRUE(p.map.any_lost(p.frames(slots)));
}

TEST(Swap, a_failed_store_keeps_the_page_and_a_failed_load_loses_it) {
  Pages p(1, 1);
  const std::vector<SlotId> mine{SlotId{0}};
  ASSERT_TRUE(p.bind(kA, mine, 0));
  const FrameId frame = p.frames(mine)[0];
  ASSERT_TRUE(p.map.store(frame).store);
  p.map.stored(frame, DiskOutcome::kFailed);
  EXPECT_TRUE(p.map.ready(p.frames(mine)));
  EXPECT_EQ(p.map.frame_table().swap_used(), 0u);
  lose(p, mine);
  p.map.check_invariants();
}

TEST(Swap, what_is_lost_stays_lost_on_its_next_way_to_disk_and_for_whoever_copies_it) {
  Pages p(2, 2);
  const std::vector<SlotId> mine{SlotId{0}};
  ASSERT_TRUE(p.bind(kA, mine, 0));
  lose(p, mine);
  const FrameId frame = p.frames(mine)[0];
  ASSERT_TRUE(p.map.store(frame).store);
  p.map.stored(frame, DiskOutcome::kDone);
  const std::vector<SlotId> forked{SlotId{1}};
  p.map.share(SlotId{0}, kB, SlotId{1});
  ASSERT_TRUE(p.bind(kB, forked, 2));
  ASSERT_EQ(p.out.loads.size(), 1u);
  p.map.loaded(p.frames(forked)[0], DiskOutcome::kDone);
  EXPECT_NE(p.frames(forked)[0], frame);
  EXPECT_TRUE(p.map.any_lost(p.frames(forked)));
  p.map.check_invariants();
}

}  // namespace
}  // namespace pie::kv
