#include <gtest/gtest.h>

#include <algorithm>

#include "kv/page_map.h"
#include "kv/page_pool.h"
#include "kv/pointer_table.h"

namespace pie::kv {
namespace {

constexpr InstanceId kA{1};
constexpr InstanceId kB{2};

TEST(PagePool, allocate_is_all_or_nothing) {
  PagePool pool(3);
  ASSERT_TRUE(pool.allocate(2).ok());
  const auto refused = pool.allocate(2);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(refused.error().message,
            "[KV pool] got a request for 2 pages, expected at most 1 (free of 3)");
  EXPECT_EQ(pool.free_count(), 1u);
  EXPECT_TRUE(pool.allocate(1).ok());
  pool.check_invariants();
}

TEST(PagePool, release_of_shared_page_keeps_it_live) {
  PagePool pool(1);
  const KvPageId page = pool.allocate(1)->front();
  pool.retain(page);
  pool.release(page);
  EXPECT_EQ(pool.live_count(), 1u);
  EXPECT_EQ(pool.reference_count(page), 1u);
  pool.release(page);
  EXPECT_EQ(pool.live_count(), 0u);
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

TEST(PageMap, pages_are_bound_when_needed_and_only_once) {
  PageMap map(4);
  const std::vector<SlotId> slots{SlotId{5}, SlotId{6}, SlotId{5}};
  EXPECT_EQ(map.missing_count(slots, slots.size()), 2u);
  std::vector<KvPageId> fresh;
  std::vector<PageCopy> copies;
  ASSERT_TRUE(map.bind(kA, slots, 99, fresh, copies));
  EXPECT_EQ(fresh.size(), 2u);
  EXPECT_NE(map.page(SlotId{5}), map.page(SlotId{6}));
  EXPECT_EQ(map.held_count(kA), 2u);
  fresh.clear();
  ASSERT_TRUE(map.bind(kA, slots, 99, fresh, copies));
  EXPECT_TRUE(fresh.empty());
  map.check_invariants();
}

TEST(PageMap, a_bind_that_does_not_fit_changes_nothing) {
  PageMap map(2);
  std::vector<KvPageId> fresh;
  std::vector<PageCopy> copies;
  ASSERT_TRUE(map.bind(kA, std::vector{SlotId{0}}, 99, fresh, copies));
  EXPECT_FALSE(map.bind(kB, std::vector{SlotId{1}, SlotId{2}}, 99, fresh, copies));
  EXPECT_EQ(fresh.size(), 1u);
  EXPECT_EQ(map.held_count(kB), 0u);
  EXPECT_EQ(map.pool().free_count(), 1u);
  map.check_invariants();
}

TEST(PageMap, a_released_page_stays_while_a_pass_waits_for_it) {
  PageMap map(1);
  const std::vector<SlotId> slots{SlotId{0}};
  std::vector<KvPageId> fresh;
  std::vector<PageCopy> copies;
  map.pin(slots);
  ASSERT_TRUE(map.bind(kA, slots, 99, fresh, copies));
  map.release(SlotId{0});
  EXPECT_EQ(map.pool().live_count(), 1u);
  EXPECT_TRUE(map.take_dead_slots().empty()) << "the id must not be used again yet";
  map.unpin(slots);
  EXPECT_EQ(map.pool().live_count(), 0u);
  EXPECT_EQ(map.take_dead_slots(), slots);
  EXPECT_TRUE(map.holders().empty());
  map.check_invariants();
}

TEST(PageMap, a_slot_that_never_got_a_page_dies_quietly) {
  PageMap map(1);
  map.release(SlotId{9});
  EXPECT_EQ(map.take_dead_slots(), std::vector{SlotId{9}});
  map.check_invariants();
}

TEST(PageMap, a_shared_page_is_copied_before_it_is_written_and_only_then) {
  PageMap map(4);
  const std::vector<SlotId> mine{SlotId{0}, SlotId{1}};
  const std::vector<SlotId> exported{SlotId{2}, SlotId{3}};
  const std::vector<SlotId> theirs{SlotId{4}, SlotId{5}};
  std::vector<KvPageId> fresh;
  std::vector<PageCopy> copies;
  ASSERT_TRUE(map.bind(kA, mine, 0, fresh, copies));
  for (int i = 0; i < 2; ++i) map.share(mine[i], kExports, exported[i]);
  for (int i = 0; i < 2; ++i) map.share(exported[i], kB, theirs[i]);
  EXPECT_EQ(map.pool().live_count(), 2u);
  EXPECT_EQ(map.held_count(kB), 2u);
  EXPECT_EQ(map.holders().size(), 2u);  // an export is nobody that could wait
  // B reads page 0 and writes page 1.
  EXPECT_EQ(map.missing_count(theirs, 1), 1u);
  ASSERT_TRUE(map.bind(kB, theirs, 1, fresh, copies));
  EXPECT_EQ(copies, (std::vector<PageCopy>{{map.page(mine[1]), map.page(theirs[1])}}));
  EXPECT_EQ(map.page(theirs[0]), map.page(mine[0]));
  EXPECT_EQ(map.page(exported[1]), map.page(mine[1]));
  // It is B's own now; and A's is not copied once nobody else refers to it.
  EXPECT_EQ(map.missing_count(theirs, 1), 0u);
  for (const SlotId slot : exported) map.release(slot);
  EXPECT_EQ(map.missing_count(mine, 1), 0u);
  EXPECT_EQ(map.missing_count(mine, 0), 1u);
  map.check_invariants();
  for (const SlotId slot : mine) map.release(slot);
  for (const SlotId slot : theirs) map.release(slot);
  EXPECT_EQ(map.pool().live_count(), 0u);
  map.check_invariants();
}

TEST(PageMap, sharing_a_slot_without_a_page_shares_its_emptiness) {
  PageMap map(2);
  map.share(SlotId{0}, kB, SlotId{1});
  std::vector<KvPageId> fresh;
  std::vector<PageCopy> copies;
  ASSERT_TRUE(map.bind(kB, std::vector{SlotId{1}}, 0, fresh, copies));
  EXPECT_EQ(fresh.size(), 1u);
  EXPECT_TRUE(copies.empty());
  map.check_invariants();
}

}  // namespace
}  // namespace pie::kv
