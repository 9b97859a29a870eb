// Pointers, pages and limits, over an executor that remembers tokens.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>
#include "engine/test_rig.h"

namespace pie::engine {
namespace {

TEST(Engine, pointers_are_smallest_first_and_used_again) {
  Rig s;
  const QueueId queue = s.open(kA);
  EXPECT_EQ(*s.engine->allocate(queue, 0, 3), (std::vector<uint32_t>{0, 1, 2}));
  EXPECT_EQ(*s.engine->allocate(queue, 1, 1), (std::vector<uint32_t>{0}));
  EXPECT_EQ(*s.engine->allocate(queue, 0, 0), std::vector<uint32_t>{});
  EXPECT_TRUE(s.engine->deallocate(queue, 0, std::vector<uint32_t>{1}).ok());
  EXPECT_EQ(*s.engine->allocate(queue, 0, 2), (std::vector<uint32_t>{1, 3}));
}

TEST(Engine, a_number_used_again_is_a_new_page_and_waiting_passes_keep_the_old_one) {
  Rig s;
  const QueueId queue = s.open(kA);
  Sequence sequence(*s.engine, queue);
  ASSERT_TRUE(sequence.run({1, 2}).ok());
  s.hold();
  PendingOutput old = submit(*s.engine, queue, sequence.append({3}));
  ASSERT_TRUE(s.engine->deallocate(queue, 0, std::vector<uint32_t>{0}).ok());
  ASSERT_EQ(*s.engine->allocate(queue, 0, 1), std::vector<uint32_t>{0});
  ForwardPass fresh;
  fresh.inputs = {{.token = 9}};
  fresh.pages = {VirtualPage{0}};
  fresh.last_page_len = 2;  // slot 0 was never written: it reads as empty
  fresh.tokens = {{.index = 0}};
  PendingOutput new_page = submit(*s.engine, queue, fresh);
  s.release();
  EXPECT_EQ(old.get()->tokens, expected_text({1, 2, 3}, 1));
  EXPECT_EQ(new_page.get()->tokens, expected_text({0, 9}, 1));
}

TEST(Engine, pages_are_bound_by_passes_and_counted_by_instance) {
  Rig s;
  const QueueId queue = s.open(kA);
  ASSERT_TRUE(s.engine->allocate(queue, 0, 20).ok());
  EXPECT_EQ(s.engine->kv_pages_used(kA), 0u);
  Sequence sequence(*s.engine, queue);
  ASSERT_TRUE(sequence.run(numbers(9, 0)).ok());
  EXPECT_EQ(s.engine->kv_pages_used(kA), 3u);
  EXPECT_EQ(s.engine->stats().kv_pages_used, 3u);
  EXPECT_EQ(s.engine->kv_pages_used(kB), 0u);
  EXPECT_EQ(s.engine->stats().instance_count, 1u);
}

TEST(Engine, passes_wait_for_pages_and_go_on_when_some_come_free) {
  Rig s(4);
  const QueueId a = s.open(kA);
  const QueueId b = s.open(kB);
  Sequence first(*s.engine, a);
  Sequence second(*s.engine, b);
  ASSERT_TRUE(first.run(numbers(12, 0)).ok());
  PendingOutput waiting = submit(*s.engine, b, second.append(numbers(8, 0)));
  // The first one goes on meanwhile, within its pages.
  EXPECT_TRUE(first.run({1}).ok());
  EXPECT_FALSE(waiting.ready());
  close(*s.engine, kA);
  EXPECT_EQ(waiting.get()->tokens, expected_text(numbers(8, 0), 1));
}

TEST(Engine, when_nothing_can_free_pages_the_youngest_that_holds_some_is_refused) {
  Rig s(4);
  const QueueId a = s.open(kA);
  const QueueId b = s.open(kB);
  const QueueId c = s.open(kC);
  Sequence oldest(*s.engine, a);
  Sequence younger(*s.engine, b);
  Sequence empty(*s.engine, c);
  ASSERT_TRUE(oldest.run(numbers(8, 0)).ok());
  ASSERT_TRUE(younger.run(numbers(8, 0)).ok());
  PendingOutput of_oldest = submit(*s.engine, a, oldest.append({1}));
  PendingOutput of_younger = submit(*s.engine, b, younger.append({1}));
  PendingOutput of_empty = submit(*s.engine, c, empty.append({1}));
  const Result<ForwardOutput> refused = of_younger.get();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  EXPECT_TRUE(refused.error().message.starts_with(
      "[execute] got a KV pool of 4 pages with 4 used and every instance"))
      << refused.error().message;
  EXPECT_FALSE(of_oldest.ready());
  close(*s.engine, kB);
  EXPECT_TRUE(of_oldest.get().ok());
  EXPECT_TRUE(of_empty.get().ok());
}

TEST(Engine, limits_of_an_instance_name_used_and_allowed) {
  Rig s;
  const QueueId queue = s.open(kA, 5);
  ASSERT_TRUE(s.engine->allocate(queue, 0, 4).ok());
  const auto refused = s.engine->allocate(queue, 0, 2);
  EXPECT_EQ(refused.error(),
            (Error{ErrorCode::kResourceExhausted,
                   "[allocate-resources] got 2 KV pages on top of 4 used, expected at most 5 "
                   "allowed for this instance"}));
  EXPECT_TRUE(s.engine->allocate(queue, 0, 1).ok()) << "a refused call changes nothing";
  EXPECT_EQ(s.engine->allocate(queue, 1, UINT32_MAX).error().code, ErrorCode::kResourceExhausted);
}

TEST(Engine, a_refused_export_or_import_counts_nothing) {
  Ledger ledger({.kv_pages_max = 10}, {}, 0);
  const UserQuotasRef quotas = ledger.of("ann");
  Rig s;
  s.engine->open_instance(kA, {.shared = quotas, .user = "ann"});
  const QueueId queue = s.engine->create_queue(kA);
  const std::vector<uint32_t> pages = s.engine->allocate(queue, 0, 2).value();
  ASSERT_TRUE(s.engine->export_resources(queue, 0, pages, "name").ok());
  EXPECT_EQ(quotas->kv_pages.used(), 4u);
  s.hold();
  ForwardPass pass;
  pass.inputs = {{.token = 1}};
  while (s.engine->submit(queue, pass, nullptr).ok()) {
  }
  EXPECT_FALSE(s.engine->export_resources(queue, 0, pages, "other").ok());
  EXPECT_FALSE(s.engine->import_resources(queue, 0, "name").ok());
  EXPECT_EQ(quotas->kv_pages.used(), 4u);
  s.release();
  close(*s.engine, kA);
  EXPECT_EQ(quotas->kv_pages.used(), 2u);  // the exported ones
}

TEST(Engine, a_program_that_never_waits_meets_a_limit) {
  Rig s;
  const QueueId queue = s.open(kA);
  s.hold();
  ForwardPass pass;
  pass.inputs = {{.token = 1}};
  Result<void> result;
  uint32_t accepted = 0;
  for (; accepted < 10000 && result.ok(); accepted += result.ok() ? 1 : 0) {
    result = s.engine->submit(queue, pass, nullptr);
  }
  EXPECT_EQ(accepted, 4096u);
  EXPECT_EQ(result.error().code, ErrorCode::kResourceExhausted);
  s.release();
  Pending<bool> synced;  // the limit is on what waits: the queue drains
  while (!s.engine->synchronize(queue, synced.callback()).ok()) std::this_thread::yield();
  EXPECT_TRUE(synced.get());
  EXPECT_TRUE(s.engine->submit(queue, pass, nullptr).ok());
}

TEST(Engine, ten_thousand_holders_of_pages_end_at_once) {
  Rig s(10'000, 512);
  for (uint32_t i = 1; i <= 10'000; ++i) {
    Sequence sequence(*s.engine, s.open(InstanceId{i}));
    ASSERT_TRUE(sequence.run({i % 100}).ok());
  }
  EXPECT_EQ(s.engine->stats().kv_pages_used, 10'000u);
  const auto began = std::chrono::steady_clock::now();
  for (uint32_t i = 1; i < 10'000; ++i) s.engine->close_instance(InstanceId{i}, [] {});
  close(*s.engine, InstanceId{10'000});
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(2));
  EXPECT_EQ(s.engine->stats().kv_pages_used, 0u);
}

}  // namespace
}  // namespace pie::engine
