// What a program may make the engine hold, however it calls.
#include "engine/local_engine.h"

#include <gtest/gtest.h>

#include <numeric>

#include "engine/commands/check_pass.h"
#include "engine/commands/pass.h"
#include "engine/prefix_domains.h"

namespace pie::engine {
namespace {

constexpr InstanceId kA{1};
constexpr uint32_t kPages = 64;

/// An engine whose step loop never comes.
struct LocalEngineTest : testing::Test {
  LocalEngineTest() {
    engine.open_instance(kA, {.shared = quotas});
    queue = engine.create_queue(kA);
  }

  Result<void> submit(QueueId to, uint32_t tokens, std::vector<uint32_t> pages = {}) {
    ForwardPass pass;
    for (uint32_t i = 0; i < tokens; ++i) pass.inputs.push_back({.token = 1});
    for (const uint32_t page : pages) pass.pages.emplace_back(page);
    pass.last_page_len = 4;
    return engine.submit(to, std::move(pass), nullptr);
  }

  Ledger ledger{{.kv_pages_max = 40}, {}, 0};
  const UserQuotasRef quotas = ledger.of("ann");
  LocalEngine engine{nullptr,
                     {.vocab_size = 10,
                      .embedding_size = 4,
                      .page_count = kPages,
                      .page_size = 4,
                      .step_tokens_max = 16},
                     {}};
  QueueId queue;
};

TEST_F(LocalEngineTest, a_call_may_name_no_more_pages_than_the_instance_has) {
  ASSERT_TRUE(engine.allocate(queue, 0, 8).ok());
  const std::vector<uint32_t> many(20'000'000, 7);
  const auto freed = engine.deallocate(queue, 0, many);
  EXPECT_EQ(freed.error().message,
            "[deallocate-resources] got 20000000 KV page pointers, expected at most the 8 that "
            "this instance has allocated");
  EXPECT_EQ(engine.export_resources(queue, 0, many, "x").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(submit(queue, 1, many).error().message,
            "[execute] got 20000000 KV pages, expected at most the 64 of the pool");
  EXPECT_EQ(engine.deallocate(queue, 0, std::vector<uint32_t>{1, 2, 1}).error().message,
            "[deallocate-resources] got pointer 1 twice, expected each once");
  EXPECT_EQ(engine.deallocate(queue, 0, std::vector<uint32_t>{1, 9}).error().message,
            "[deallocate-resources] got KV page pointer 9, expected one that this instance has "
            "allocated");
  EXPECT_EQ(quotas->kv_pages.used(), 8) << "what is refused changes nothing";
}

TEST_F(LocalEngineTest, a_pass_may_ask_for_so_many_outputs_of_one_token) {
  ForwardPass pass;
  pass.inputs = {{.token = 1}, {.token = 2}};
  pass.tokens.resize(kOutputsPerIndexMax);
  pass.distributions.resize(1, {.index = 1});
  EXPECT_TRUE(engine.submit(queue, pass, nullptr).ok());
  pass.distributions[0].index = 0;
  EXPECT_EQ(engine.submit(queue, pass, nullptr).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(LocalEngineTest, changes_of_priority_that_wait_are_one) {
  ASSERT_TRUE(submit(queue, 1).ok());
  engine.inbox().receive();
  for (uint32_t i = 0; i < 100'000; ++i)
    engine.set_priority(queue, i % 2 == 0 ? Priority::kLow : Priority::kHigh);
  const Mail mail = engine.inbox().receive();
  EXPECT_TRUE(mail.messages.empty());
  ASSERT_EQ(mail.priorities.size(), 1);
  EXPECT_EQ(mail.priorities.at(queue), Priority::kHigh);
}

TEST_F(LocalEngineTest, every_kind_of_command_that_waits_is_bounded) {
  ASSERT_TRUE(engine.allocate(queue, 0, 8).ok());
  for (uint32_t i = 0; i < 10'000; ++i) {
    static_cast<void>(engine.synchronize(queue, [](bool) {}));
    static_cast<void>(submit(queue, 1));
    static_cast<void>(engine.export_resources(queue, 0, std::vector<uint32_t>{0}, "x"));
    static_cast<void>(engine.release_exported(queue, 0, "x"));
    static_cast<void>(engine.deallocate(queue, 0, std::vector<uint32_t>{7}));
    static_cast<void>(engine.allocate(queue, 0, 1));
  }
  EXPECT_EQ(engine.synchronize(queue, [](bool) {}).error().code, ErrorCode::kResourceExhausted);
  EXPECT_LT(engine.inbox().receive().messages.size(), 3 * kCommandsPendingMax);
}

TEST_F(LocalEngineTest, queues_that_come_and_go_leave_nothing_with_the_step_loop) {
  for (uint32_t i = 0; i < 1'000'000; ++i) engine.close_queue(engine.create_queue(kA));
  EXPECT_TRUE(engine.inbox().receive().messages.empty())
      << "without a command the step loop knows of no queue";
  const QueueId used = engine.create_queue(kA);
  ASSERT_TRUE(submit(used, 1).ok());
  engine.close_queue(used);
  EXPECT_EQ(submit(used, 1).error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(engine.inbox().receive().messages.size(), 3) << "it opens, has a command, closes";
}

TEST_F(LocalEngineTest, pages_that_queued_passes_hold_count_until_they_are_free) {
  const auto pages = engine.allocate(queue, 0, 30).value();
  ASSERT_TRUE(submit(queue, 4, {pages[0]}).ok());
  ASSERT_TRUE(engine.deallocate(queue, 0, pages).ok());
  EXPECT_EQ(quotas->kv_pages.used(), 1) << "the one that a pass names";
  EXPECT_FALSE(engine.allocate(queue, 0, 40).ok());
  EXPECT_TRUE(engine.allocate(queue, 0, 39).ok());
  const Mail mail = engine.inbox().receive();
  const auto& command = std::get<std::unique_ptr<Command>>(mail.messages.at(1));
  const auto& pages_named = dynamic_cast<PassCommand&>(*command).page_pins;
  engine.apply({.unpinned_pages = pages_named, .dead_pages = pages_named});
  EXPECT_EQ(quotas->kv_pages.used(), 39);
}

TEST_F(LocalEngineTest, pages_of_a_pass_without_cache_count) {
  EXPECT_TRUE(submit(queue, 16).ok()) << "one that fits a step needs none";
  EXPECT_EQ(quotas->kv_pages.used(), 0);
  EXPECT_TRUE(submit(queue, 120).ok());
  EXPECT_EQ(quotas->kv_pages.used(), 30);
  EXPECT_EQ(submit(queue, 120).error().code, ErrorCode::kResourceExhausted);
  engine.open_instance(InstanceId{2}, {.kv_pages_max = 10});
  const QueueId small = engine.create_queue(InstanceId{2});
  EXPECT_EQ(submit(small, 44).error().message,
            "[execute] got 11 KV pages on top of 0 used, expected at most 10 allowed for this "
            "instance");
  EXPECT_TRUE(submit(small, 40).ok());
}

TEST(DomainsTest, users_who_have_gone_are_forgotten_the_longest_gone_first) {
  PrefixDomains domains(PrefixSharing::kUser);
  const uint32_t here = domains.open("here");
  EXPECT_EQ(domains.open("here"), here);
  domains.close("here");
  for (size_t i = 0; i < 5 * PrefixDomains::kIdleMax; ++i) {
    domains.open("user " + std::to_string(i));
    domains.close("user " + std::to_string(i));
  }
  EXPECT_EQ(domains.size(), PrefixDomains::kIdleMax + 1);
  EXPECT_EQ(domains.open("here"), here) << "it has an instance";
  EXPECT_NE(domains.open("user 0"), here);
}

}  // namespace
}  // namespace pie::engine
