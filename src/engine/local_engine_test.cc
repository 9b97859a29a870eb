// What a program may make the engine's front hold, however it calls.
#include "engine/local_engine.h"

#include <gtest/gtest.h>

#include <numeric>

#include "engine/domains.h"

namespace pie::engine {
namespace {

constexpr InstanceId kA{1};
constexpr uint32_t kPages = 64;

/// A front whose step loop never comes.
struct FrontTest : testing::Test {
  FrontTest() {
    front.open_instance(kA, {.shared = quotas});
    queue = front.create_queue(kA);
  }

  Result<void> submit(QueueId queue, uint32_t tokens, std::vector<uint32_t> pages = {}) {
    ForwardPass pass;
    for (uint32_t i = 0; i < tokens; ++i) pass.inputs.push_back({.token = 1});
    for (const uint32_t page : pages) pass.pages.emplace_back(page);
    pass.last_page_len = 4;
    return front.submit(queue, std::move(pass), nullptr);
  }

  Ledger ledger{{.kv_pages_max = 40}, {}, 0};
  const UserQuotasRef quotas = ledger.of("ann");
  Front front{{.vocab_size = 10,
               .embedding_size = 4,
               .page_count = kPages,
               .page_size = 4,
               .step_tokens_max = 16},
              {},
              nullptr};
  QueueId queue;
};

TEST_F(FrontTest, a_call_may_name_no_more_pages_than_the_instance_has) {
  ASSERT_TRUE(front.allocate(queue, 0, 8).ok());
  const std::vector<uint32_t> many(20'000'000, 7);
  const auto freed = front.deallocate(queue, 0, many);
  EXPECT_EQ(freed.error().message,
            "[deallocate-resources] got 20000000 KV page pointers, expected at most the 8 that "
            "this instance has allocated");
  EXPECT_EQ(front.export_resources(queue, 0, many, "x").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(submit(queue, 1, many).error().message,
            "[execute] got 20000000 KV pages, expected at most the 64 of the pool");
  EXPECT_EQ(front.deallocate(queue, 0, std::vector<uint32_t>{1, 2, 1}).error().message,
            "[deallocate-resources] got pointer 1 twice, expected each once");
  EXPECT_EQ(front.deallocate(queue, 0, std::vector<uint32_t>{1, 9}).error().message,
            "[deallocate-resources] got KV page pointer 9, expected one that this instance has "
            "allocated");
  EXPECT_EQ(quotas->kv_pages.used(), 8) << "what is refused changes nothing";
}

TEST_F(FrontTest, a_pass_may_ask_for_so_many_outputs_of_one_token) {
  ForwardPass pass;
  pass.inputs = {{.token = 1}, {.token = 2}};
  pass.tokens.resize(kOutputsPerIndexMax);
  pass.distributions.resize(1, {.index = 1});
  EXPECT_TRUE(front.submit(queue, pass, nullptr).ok());
  pass.distributions[0].index = 0;
  EXPECT_EQ(front.submit(queue, pass, nullptr).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(FrontTest, changes_of_priority_that_wait_are_one) {
  ASSERT_TRUE(submit(queue, 1).ok());
  front.receive();
  for (uint32_t i = 0; i < 100'000; ++i)
    front.set_priority(queue, i % 2 == 0 ? Priority::kLow : Priority::kHigh);
  const std::vector<Message> messages = front.receive();
  ASSERT_EQ(messages.size(), 1);
  EXPECT_EQ(std::get<ChangePriority>(messages[0]).priority, Priority::kHigh);
}

TEST_F(FrontTest, every_kind_of_command_that_waits_is_bounded) {
  ASSERT_TRUE(front.allocate(queue, 0, 8).ok());
  for (uint32_t i = 0; i < 10'000; ++i) {
    static_cast<void>(front.synchronize(queue, [](bool) {}));
    static_cast<void>(submit(queue, 1));
    static_cast<void>(front.export_resources(queue, 0, std::vector<uint32_t>{0}, "x"));
    static_cast<void>(front.release_exported(queue, 0, "x"));
    static_cast<void>(front.deallocate(queue, 0, std::vector<uint32_t>{7}));
    static_cast<void>(front.allocate(queue, 0, 1));
  }
  EXPECT_EQ(front.synchronize(queue, [](bool) {}).error().code, ErrorCode::kResourceExhausted);
  EXPECT_LT(front.receive().size(), 3 * kCommandsPendingMax);
}

TEST_F(FrontTest, queues_that_come_and_go_leave_nothing_with_the_step_loop) {
  for (uint32_t i = 0; i < 1'000'000; ++i) front.close_queue(front.create_queue(kA));
  EXPECT_TRUE(front.receive().empty()) << "without a command the step loop knows of no queue";
  const QueueId used = front.create_queue(kA);
  ASSERT_TRUE(submit(used, 1).ok());
  front.close_queue(used);
  EXPECT_EQ(submit(used, 1).error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(front.receive().size(), 3) << "it opens, has a command, closes";
}

TEST_F(FrontTest, pages_that_queued_passes_hold_count_until_they_are_free) {
  const auto pages = front.allocate(queue, 0, 30).value();
  ASSERT_TRUE(submit(queue, 4, {pages[0]}).ok());
  ASSERT_TRUE(front.deallocate(queue, 0, pages).ok());
  EXPECT_EQ(quotas->kv_pages.used(), 1) << "the one that a pass names";
  EXPECT_FALSE(front.allocate(queue, 0, 40).ok());
  EXPECT_TRUE(front.allocate(queue, 0, 39).ok());
  std::vector<Message> messages = front.receive();
  const auto& pass = std::get<Submit>(messages.at(1)).pass;
  front.settle({.unpinned_pages = pass->page_pins, .dead_pages = pass->page_pins});
  EXPECT_EQ(quotas->kv_pages.used(), 39);
}

TEST_F(FrontTest, pages_of_a_pass_without_cache_count) {
  EXPECT_TRUE(submit(queue, 16).ok()) << "one that fits a step needs none";
  EXPECT_EQ(quotas->kv_pages.used(), 0);
  EXPECT_TRUE(submit(queue, 120).ok());
  EXPECT_EQ(quotas->kv_pages.used(), 30);
  EXPECT_EQ(submit(queue, 120).error().code, ErrorCode::kResourceExhausted);
  front.open_instance(InstanceId{2}, {.kv_pages_max = 10});
  const QueueId small = front.create_queue(InstanceId{2});
  EXPECT_EQ(submit(small, 44).error().message,
            "[execute] got 11 KV pages on top of 0 used, expected at most 10 allowed for this "
            "instance");
  EXPECT_TRUE(submit(small, 40).ok());
}

TEST(DomainsTest, users_who_have_gone_are_forgotten_the_longest_gone_first) {
  Domains domains(true, false);
  const uint32_t here = domains.open("here");
  EXPECT_EQ(domains.open("here"), here);
  domains.close("here");
  for (size_t i = 0; i < 5 * Domains::kIdleMax; ++i) {
    domains.open("user " + std::to_string(i));
    domains.close("user " + std::to_string(i));
  }
  EXPECT_EQ(domains.size(), Domains::kIdleMax + 1);
  EXPECT_EQ(domains.open("here"), here) << "it has an instance";
  EXPECT_NE(domains.open("user 0"), here);
}

}  // namespace
}  // namespace pie::engine
