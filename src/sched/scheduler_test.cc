#include "sched/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace pie::sched {
namespace {

using kv::SlotId;

/// A scheduler over a pool, with shorthand for commands. Pages are slots, 4 tokens each.
struct Fixture {
  explicit Fixture(uint32_t page_count, uint32_t budget = 8)
      : map({page_count, 4, 0, 1}),
        scheduler({.step_tokens_max = budget, .page_size = 4, .short_pass_tokens_max = 2}, map) {}

  void open(uint32_t queue, uint64_t instance) {
    scheduler.open_queue(QueueId{queue}, InstanceId{instance});
  }
  /// A pass of `tokens` at the end of the pages, whose last one it fills.
  void pass(uint32_t queue, uint64_t id, uint32_t tokens, const std::vector<uint32_t>& slots,
            bool after_earlier_only = false) {
    PassShape shape{.token_count = tokens, .after_earlier_only = after_earlier_only};
    for (const uint32_t slot : slots) shape.pages.emplace_back(slot);
    const auto length = static_cast<uint32_t>(slots.size() * 4);
    shape.context_len = slots.empty() ? 0 : length - tokens;
    scheduler.push_pass(QueueId{queue}, CommandId{id}, std::move(shape));
  }
  void release(const std::vector<uint32_t>& slots) {
    for (const uint32_t slot : slots) map.release(SlotId{slot});
  }
  /// Plans and finishes a step; its passes as "id:tokens".
  std::string step(Overtaking overtaking = Overtaking::kNo,
                   uint32_t mixed_tokens_max = UINT32_MAX) {
    last = scheduler.plan(overtaking, mixed_tokens_max);
    scheduler.check_invariants();
    std::string text;
    for (const PassChunk& chunk : last.chunks) {
      if (!text.empty()) text += ' ';
      text += std::to_string(chunk.pass.value) + ":" + std::to_string(chunk.token_count);
    }
    scheduler.finish(last);
    scheduler.check_invariants();
    return text;
  }

  kv::PageMap map;
  Scheduler scheduler;
  Plan last;
};

std::vector<uint32_t> numbers(uint32_t first, uint32_t count) {
  std::vector<uint32_t> slots(count);
  std::iota(slots.begin(), slots.end(), first);
  return slots;
}

TEST(Scheduler, commands_of_a_queue_take_effect_in_order) {
  Fixture f(8);
  f.open(1, 1);
  f.pass(1, 10, 4, {0});
  f.scheduler.push_marker(QueueId{1}, CommandId{11});
  f.pass(1, 12, 1, {0});
  f.scheduler.push_marker(QueueId{1}, CommandId{13});
  f.release({0});
  EXPECT_EQ(f.step(), "10:4");
  EXPECT_TRUE(f.last.completed.empty()) << "the marker waits for the pass";
  EXPECT_EQ(f.step(), "12:1");
  EXPECT_EQ(f.last.completed, std::vector{CommandId{11}});
  EXPECT_EQ(f.map.live_count(), 0u) << "no pass names the page any more";
  EXPECT_EQ(f.step(), "");
  EXPECT_EQ(f.last.completed, std::vector{CommandId{13}});
  EXPECT_EQ(f.scheduler.pending_count(), 0u);
}

TEST(Scheduler, long_prompts_go_in_chunks_beside_decodes) {
  Fixture f(16);
  f.open(1, 1);
  f.open(2, 2);
  f.pass(1, 10, 20, {0, 1, 2, 3, 4});
  f.pass(2, 20, 1, {5});
  EXPECT_EQ(f.step(), "20:1 10:7") << "the decode goes first, the older prompt fills the budget";
  f.pass(2, 21, 1, {5});
  EXPECT_EQ(f.step(), "21:1 10:7");
  EXPECT_EQ(f.last.chunks[1].first_token, 7u);
  EXPECT_EQ(f.last.chunks[1].context_len, 7u);
  EXPECT_FALSE(f.last.chunks[1].last);
  EXPECT_EQ(f.step(), "10:6");
  EXPECT_TRUE(f.last.chunks[0].last);
  EXPECT_EQ(f.step(), "");
}

TEST(Scheduler, beside_decodes_long_passes_get_what_a_bounded_step_leaves) {
  Fixture f(64, 64);
  f.open(1, 1);
  f.open(2, 2);
  f.open(3, 3);
  f.pass(1, 10, 96, numbers(0, 24));
  EXPECT_EQ(f.step(Overtaking::kNo, 24), "10:64") << "nobody decodes";
  EXPECT_EQ(f.last.kind, StepKind::kLong);
  f.pass(2, 20, 1, {24});
  EXPECT_EQ(f.step(Overtaking::kNo, 24), "20:1 10:23");
  EXPECT_EQ(f.last.kind, StepKind::kMixed);
  f.pass(2, 21, 1, {24});
  EXPECT_EQ(f.step(Overtaking::kNo, 1), "21:1 10:9") << "the prompt goes on whatever the bound";
  f.pass(2, 22, 1, {24});
  EXPECT_EQ(f.step(Overtaking::kNo, 24), "22:1");
  EXPECT_EQ(f.last.kind, StepKind::kDecodes);

  f.pass(1, 11, 96, numbers(0, 24));
  EXPECT_EQ(f.step(Overtaking::kNo, 24), "11:24") << "who decoded a step ago is about to come back";
  EXPECT_EQ(f.last.kind, StepKind::kMixed);
  f.pass(3, 30, 20, {});
  EXPECT_EQ(f.step(Overtaking::kNo, 24), "11:24 30:20") << "a pass without cache is not cut";
}

TEST(Scheduler, fresh_pages_are_named_once_for_clearing) {
  Fixture f(4);
  f.open(1, 1);
  f.pass(1, 10, 6, {0, 1});
  f.step();
  EXPECT_EQ(f.last.bindings.fresh_count(), 2u);
  f.pass(1, 11, 1, {0, 1, 2});
  f.step();
  EXPECT_EQ(f.last.bindings.fresh_count(), 1u);
}

TEST(Scheduler, higher_priorities_first_and_low_ones_do_not_starve) {
  Fixture f(64, 4);
  f.open(1, 1);
  f.open(2, 2);
  f.open(3, 3);
  f.scheduler.set_priority(QueueId{1}, Priority::kLow);
  f.scheduler.set_priority(QueueId{3}, Priority::kHigh);
  f.pass(1, 10, 1, {0});
  f.pass(2, 20, 4, {1});
  f.pass(3, 30, 4, {2});
  EXPECT_EQ(f.step(), "30:4");
  EXPECT_EQ(f.step(), "20:4");
  int steps = 2;
  for (; steps < 100; ++steps) {
    f.pass(3, 100 + static_cast<uint64_t>(steps), 4, {2});
    if (f.step().starts_with("10:1")) break;
  }
  EXPECT_LE(steps, 17) << "passed over 16 times, then first";
}

TEST(Scheduler, oldest_instance_first_within_a_priority) {
  Fixture f(64, 4);
  f.open(1, 9);
  f.open(2, 5);
  f.pass(1, 90, 4, {0});
  f.pass(2, 50, 4, {1});
  EXPECT_EQ(f.step(), "50:4");
  EXPECT_EQ(f.step(), "90:4");
}

TEST(Scheduler, queues_of_one_instance_share_a_step_unless_one_writes_what_another_touches) {
  Fixture f(16);
  f.open(1, 1);
  f.open(2, 1);
  f.open(3, 1);
  f.pass(1, 10, 1, {0, 1});
  f.pass(2, 20, 1, {0, 2});  // shares page 0 for reading
  f.pass(3, 30, 1, {0, 1});  // writes page 1 too
  EXPECT_EQ(f.step(), "10:1 20:1");
  EXPECT_EQ(f.step(), "30:1");
  f.pass(1, 11, 1, {0});     // writes page 0
  f.pass(2, 21, 1, {0, 2});  // reads it
  EXPECT_EQ(f.step(), "11:1");
  EXPECT_EQ(f.step(), "21:1");
}

TEST(Scheduler, independent_passes_of_one_queue_share_a_step) {
  Fixture f(16, 4);
  f.open(1, 1);
  f.pass(1, 10, 1, {0, 1});
  f.pass(1, 11, 1, {0, 2});
  f.pass(1, 12, 1, {0, 2});  // writes what the one before wrote
  EXPECT_EQ(f.step(), "10:1 11:1");
  EXPECT_EQ(f.step(), "12:1");
  f.pass(1, 13, 1, {0, 1});
  f.pass(1, 14, 1, {0, 2}, true);
  f.pass(1, 15, 1, {0, 3});
  EXPECT_EQ(f.step(), "13:1");
  EXPECT_EQ(f.step(), "14:1");
  EXPECT_EQ(f.step(), "15:1");
}

TEST(Scheduler, passes_without_cache_are_never_split) {
  Fixture f(16);
  f.open(1, 1);
  f.open(2, 2);
  f.pass(1, 10, 6, {});
  f.pass(2, 20, 5, {});
  EXPECT_EQ(f.step(), "10:6");
  EXPECT_EQ(f.step(), "20:5");
}

TEST(Scheduler, passes_wait_in_line_for_pages_oldest_first) {
  Fixture f(4);
  f.open(1, 1);
  f.open(2, 2);
  f.open(3, 3);
  f.pass(3, 30, 1, {0, 1, 2});
  EXPECT_EQ(f.step(), "30:1");
  f.pass(2, 20, 1, {10});
  f.pass(1, 10, 1, {20, 21});
  EXPECT_EQ(f.step(), "") << "1 is first in line; the free page is not given to 2";
  EXPECT_TRUE(f.last.waiting);
  f.release({0, 1, 2});
  EXPECT_EQ(f.step(), "10:1 20:1");
}

TEST(Scheduler, a_pass_whose_pages_are_bound_does_not_wait_in_line) {
  Fixture f(3);
  f.open(1, 1);
  f.open(2, 2);
  f.pass(2, 20, 1, {0, 1});
  f.step();
  f.pass(1, 10, 1, {10, 11});
  f.pass(2, 21, 1, {0, 1});
  EXPECT_EQ(f.step(), "21:1");
  EXPECT_EQ(f.step(Overtaking::kYes), "");
  EXPECT_FALSE(f.last.stuck) << "instance 2 does not wait and may still free its pages";
}

TEST(Scheduler, overtaking_is_for_when_nobody_can_go_on) {
  Fixture f(4);
  f.open(1, 1);
  f.open(2, 2);
  f.pass(1, 10, 1, {0});
  f.pass(2, 20, 1, {10, 11});
  EXPECT_EQ(f.step(), "10:1 20:1");
  f.pass(1, 11, 1, {0, 1, 2});
  f.pass(2, 21, 1, {10, 11, 12});
  EXPECT_EQ(f.step(), "");
  EXPECT_EQ(f.step(Overtaking::kYes), "21:1") << "one page is free: enough for 2";
}

TEST(Scheduler, when_all_that_hold_pages_wait_the_youngest_of_them_is_evicted) {
  Fixture f(4);
  for (uint32_t i = 1; i <= 3; ++i) f.open(i, i);
  f.pass(1, 10, 1, {0, 1});
  f.pass(2, 20, 1, {10, 11});
  EXPECT_EQ(f.step(), "10:1 20:1");
  f.pass(1, 11, 1, {0, 1, 2});
  f.pass(2, 21, 1, {10, 11, 12});
  f.pass(3, 30, 1, {20});
  EXPECT_EQ(f.step(Overtaking::kYes), "");
  ASSERT_TRUE(f.last.stuck);
  EXPECT_EQ(f.scheduler.evict_youngest(), CommandId{21}) << "3 holds nothing: no use to end it";
  EXPECT_EQ(f.step(Overtaking::kYes), "");
  EXPECT_FALSE(f.last.stuck) << "2 is about to be closed";
  EXPECT_TRUE(f.scheduler.close_instance(InstanceId{2}).empty());
  for (const uint32_t slot : {10, 11, 12}) f.map.release(SlotId{slot});
  EXPECT_EQ(f.step(), "11:1 30:1");
}

TEST(Scheduler, close_drops_what_is_pending_and_spares_the_others) {
  Fixture f(8);
  f.open(1, 1);
  f.open(2, 1);
  f.open(3, 2);
  f.pass(1, 10, 12, {0, 1, 2});
  EXPECT_EQ(f.step(), "10:8");
  f.scheduler.push_marker(QueueId{1}, CommandId{11});
  f.scheduler.push_marker(QueueId{2}, CommandId{12});
  f.pass(3, 30, 1, {4});
  EXPECT_EQ(f.scheduler.close_instance(InstanceId{1}),
            (std::vector{CommandId{10}, CommandId{11}, CommandId{12}}));
  for (const uint32_t slot : {0, 1, 2}) f.map.release(SlotId{slot});
  f.scheduler.check_invariants();
  EXPECT_EQ(f.map.live_count(), 0u);
  EXPECT_EQ(f.step(), "30:1");
}

TEST(Scheduler, a_closed_queue_is_gone_with_its_last_command) {
  Fixture f(8);
  f.open(1, 1);
  f.open(2, 1);
  f.pass(1, 10, 12, {0, 1, 2});
  f.scheduler.close_queue(QueueId{1});
  f.scheduler.close_queue(QueueId{2});
  EXPECT_EQ(f.scheduler.queue_count(), 1u) << "the idle one is gone at once";
  EXPECT_EQ(f.step(), "10:8");
  EXPECT_EQ(f.step(), "10:4");
  EXPECT_EQ(f.scheduler.queue_count(), 0u);
  EXPECT_TRUE(f.scheduler.close_instance(InstanceId{1}).empty());
}

}  // namespace
}  // namespace pie::sched
