// Prefix cache and swap, over an executor that remembers tokens: a page that is not what it should
// be changes what is generated.
#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "engine/test_rig.h"

namespace pie::engine {
namespace {

constexpr uint32_t kPage = 4;

std::vector<TokenId> joined(std::vector<TokenId> a, const std::vector<TokenId>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

struct CacheRig {
  explicit CacheRig(uint32_t page_count, EngineConfig config = {}) {
    config.seed = 7;
    auto executor = std::make_unique<RecallExecutor>(
        exec::ExecutorConfig{.page_count = page_count, .page_size = kPage, .step_tokens_max = 64},
        probe);
    engine = LocalEngine::open(nullptr, RecallExecutor::kVocab, RecallExecutor::kEmbedding,
                               std::move(executor), config, system_clock())
                 .value();
  }
  ~CacheRig() { probe->release_steps(); }
  QueueId open(uint64_t instance, const std::string& user = "ann") {
    engine->open_instance(InstanceId{instance}, {.user = user});
    return engine->create_queue(InstanceId{instance});
  }
  uint64_t computed() const { return engine->stats().tokens_computed; }

  std::shared_ptr<RecallProbe> probe = std::make_shared<RecallProbe>();
  std::unique_ptr<Engine> engine;
};

EngineConfig with_swap(uint64_t bytes_max = 1 << 20) {
  const std::filesystem::path folder = testing::TempDir() + "/pie_swap_test";
  return {.prefix_cache = false, .swap_folder = folder, .swap_bytes_max = bytes_max};
}

TEST(PrefixCacheOfEngine, what_an_instance_of_the_same_user_computed_is_not_computed_again) {
  CacheRig s(64);
  const std::vector<TokenId> prompt = numbers(18, 100);
  Sequence first(*s.engine, s.open(1));
  EXPECT_EQ(first.run(prompt)->tokens, expected_text(prompt, 1));
  EXPECT_EQ(s.computed(), 18u);
  Sequence second(*s.engine, s.open(2));
  EXPECT_EQ(second.generate(prompt, 20), expected_text(prompt, 20));
  EXPECT_EQ(s.computed(), 18u + 2 + 19);
  EXPECT_EQ(s.engine->prefix_savings(InstanceId{2}).tokens, 16u);
  EXPECT_EQ(s.engine->prefix_savings(InstanceId{1}).hits, 0u);
  // What was generated is found as well, after its owner is gone.
  close(*s.engine, InstanceId{1});
  close(*s.engine, InstanceId{2});
  EXPECT_EQ(s.engine->stats().kv_pages_used, 0u);
  EXPECT_GT(s.engine->stats().kv_pages_cached, 0u);
  const std::vector<TokenId> longer = joined(prompt, expected_text(prompt, 19));
  Sequence third(*s.engine, s.open(3));
  EXPECT_EQ(third.run(longer)->tokens, expected_text(longer, 1));
  EXPECT_EQ(s.engine->prefix_savings(InstanceId{3}).tokens, 36u);
  const EngineStats stats = s.engine->stats();
  EXPECT_EQ(stats.prefix_hits, 2u);
  EXPECT_EQ(stats.prefix_tokens_saved, 52u);
}

TEST(PrefixCacheOfEngine, users_share_only_when_the_operator_says_so) {
  for (const bool shared : {false, true}) {
    CacheRig s(64, {.prefix_cache_shared = shared});
    const std::vector<TokenId> prompt = numbers(18, 100);
    ASSERT_TRUE(Sequence(*s.engine, s.open(1, "ann")).run(prompt).ok());
    Sequence other(*s.engine, s.open(2, "bob"));
    EXPECT_EQ(other.generate(prompt, 3), expected_text(prompt, 3));
    EXPECT_EQ(s.engine->prefix_savings(InstanceId{2}).tokens, shared ? 16u : 0u);
  }
}

TEST(PrefixCacheOfEngine, it_can_be_switched_off) {
  CacheRig s(64, {.prefix_cache = false});
  for (uint64_t i = 1; i < 3; ++i)
    ASSERT_TRUE(Sequence(*s.engine, s.open(i)).run(numbers(18, 100)).ok());
  EXPECT_EQ(s.computed(), 36u);
}

TEST(PrefixCacheOfEngine, tokens_that_something_is_asked_of_are_computed) {
  CacheRig s(64);
  const std::vector<TokenId> prompt = numbers(16, 100);
  ASSERT_TRUE(Sequence(*s.engine, s.open(1)).run(prompt).ok());
  const QueueId queue = s.open(2);
  Sequence second(*s.engine, queue);
  ForwardPass pass = second.append(prompt);
  pass.tokens = {{.index = 9}, {.index = 15}};
  const ForwardOutput output = submit(*s.engine, queue, pass).get().value();
  EXPECT_EQ(output.tokens[0], expected_text(numbers(10, 100), 1)[0]);
  EXPECT_EQ(output.tokens[1], expected_text(prompt, 1)[0]);
  EXPECT_EQ(s.engine->prefix_savings(InstanceId{2}).tokens, 8u);
  // A pass that asks for nothing need not run at all.
  const QueueId third = s.open(3);
  Sequence silent(*s.engine, third);
  ForwardPass nothing = silent.append(prompt);
  nothing.tokens.clear();
  const uint64_t computed = s.computed();
  EXPECT_TRUE(submit(*s.engine, third, nothing).get().ok());
  EXPECT_EQ(s.computed(), computed);
  EXPECT_EQ(silent.run({7})->tokens, expected_text(joined(prompt, {7}), 1));
}

TEST(PrefixCacheOfEngine, tokens_whose_logits_are_asked_for_are_computed) {
  const std::vector<TokenId> prompt = numbers(16, 100);
  const auto ask = [&](const std::function<void(ForwardPass&)>& change) {
    CacheRig s(64);
    EXPECT_TRUE(Sequence(*s.engine, s.open(1)).run(prompt).ok());
    const QueueId queue = s.open(2);
    ForwardPass pass = Sequence(*s.engine, queue).append(prompt);
    pass.tokens.clear();
    change(pass);
    const ForwardOutput output = submit(*s.engine, queue, pass).get().value();
    EXPECT_EQ(s.engine->prefix_savings(InstanceId{2}).tokens, 8u);
    return output;
  };
  const TokenId after = expected_text(numbers(10, 100), 1)[0];
  EXPECT_EQ(ask([](ForwardPass& p) { p.logits = {{.index = 9, .best = 1}}; }).logits.at(0).ids,
            std::vector{after});
  EXPECT_GT(
      ask([&](ForwardPass& p) { p.scores = {{.index = 9, .tokens = {after}}}; }).scores.at(0).at(0),
      -0.1F);
  EXPECT_GT(ask([](ForwardPass& p) { p.entropies = {9}; }).entropies.at(0), 0.1F);
}

TEST(PrefixCacheOfEngine, a_causal_mask_says_the_same_as_none_and_another_one_does_not) {
  CacheRig s(64);
  const std::vector<TokenId> prompt = numbers(9, 100);
  ASSERT_TRUE(Sequence(*s.engine, s.open(1)).run(prompt).ok());
  for (const bool causal : {true, false}) {
    const uint64_t id = causal ? 2 : 3;
    const QueueId queue = s.open(id);
    ForwardPass pass = Sequence(*s.engine, queue).append(prompt);
    pass.mask.emplace();
    for (uint32_t i = 0; i < 9; ++i) {
      pass.mask->push_back(causal ? std::vector<uint32_t>{0, 0, i, 0, 5}
                                  : std::vector<uint32_t>{0, i, 1});
    }
    const TokenId token = submit(*s.engine, queue, pass).get()->tokens.at(0);
    EXPECT_EQ(token,
              causal ? expected_text(prompt, 1)[0] : RecallExecutor::next_token({{8, prompt[8]}}));
    EXPECT_EQ(s.engine->prefix_savings(InstanceId{id}).tokens, causal ? 8u : 0u);
  }
}

/// `count` passes with the same beginning, submitted while a step is held.
std::vector<PendingOutput> cold_crowd(CacheRig& s, uint32_t count) {
  const QueueId blocker = s.open(1);
  s.probe->hold_steps();
  ForwardPass pass;
  pass.inputs = {{.token = 999}};
  std::vector<PendingOutput> outputs;
  outputs.push_back(submit(*s.engine, blocker, pass));
  s.probe->wait_entered(1);
  for (uint32_t i = 0; i < count; ++i) {
    const QueueId queue = s.open(10 + i);
    outputs.push_back(submit(*s.engine, queue,
                             Sequence(*s.engine, queue).append(joined(numbers(24, 100), {i, 7}))));
  }
  return outputs;
}

TEST(PrefixCacheOfEngine, who_asks_for_what_is_being_computed_waits_for_it) {
  CacheRig s(256);
  std::vector<PendingOutput> outputs = cold_crowd(s, 20);
  s.probe->release_steps();
  ASSERT_TRUE(outputs[0].get().ok());
  for (uint32_t i = 0; i < 20; ++i) {
    EXPECT_EQ(outputs[i + 1].get()->tokens, expected_text(joined(numbers(24, 100), {i, 7}), 1));
  }
  EXPECT_EQ(s.computed(), 1u + 24 + 20 * 2);
}

TEST(PrefixCacheOfEngine, when_the_one_who_computes_ends_another_one_does) {
  CacheRig s(256);
  std::vector<PendingOutput> outputs = cold_crowd(s, 4);
  s.probe->release_steps();
  ASSERT_TRUE(outputs[0].get().ok());
  close(*s.engine, InstanceId{10});
  for (uint32_t i = 1; i < 4; ++i) {
    EXPECT_EQ(outputs[i + 1].get()->tokens, expected_text(joined(numbers(24, 100), {i, 7}), 1));
  }
}

TEST(PrefixCacheOfEngine, a_failed_step_leaves_nothing_to_be_found) {
  CacheRig s(64);
  {
    const std::lock_guard lock(s.probe->mutex);
    s.probe->fail_next = true;
  }
  const std::vector<TokenId> prompt = numbers(18, 100);
  EXPECT_FALSE(Sequence(*s.engine, s.open(1)).run(prompt).ok());
  EXPECT_EQ(Sequence(*s.engine, s.open(2)).generate(prompt, 4), expected_text(prompt, 4));
  EXPECT_EQ(s.engine->stats().prefix_hits, 0u);
}

TEST(PrefixCacheOfEngine, cached_pages_make_way_for_those_who_need_pages) {
  CacheRig s(8);
  for (uint64_t i = 1; i < 30; ++i) {
    const std::vector<TokenId> prompt = numbers(20, 20 * static_cast<uint32_t>(i));
    Sequence sequence(*s.engine, s.open(i));
    EXPECT_EQ(sequence.generate(prompt, 8), expected_text(prompt, 8));
    close(*s.engine, InstanceId{i});
    EXPECT_EQ(s.engine->stats().kv_pages_used, 0u);
  }
}

TEST(SwapOfEngine, pages_of_who_waits_go_to_disk_and_come_back_and_nobody_dies) {
  CacheRig s(12, with_swap());
  constexpr uint32_t kAgents = 8;  // of up to 10 pages each
  std::vector<std::unique_ptr<Sequence>> agents;
  std::vector<std::vector<TokenId>> texts(kAgents);
  for (uint32_t i = 0; i < kAgents; ++i)
    agents.push_back(std::make_unique<Sequence>(*s.engine, s.open(i + 1)));
  for (uint32_t turn = 0; turn < 4; ++turn) {
    for (uint32_t i = 0; i < kAgents; ++i) {
      const std::vector<TokenId> said = numbers(6, 100 * i + 10 * turn);
      texts[i] = joined(texts[i], said);
      const std::vector<TokenId> answer = agents[i]->generate(said, 4);
      EXPECT_EQ(answer, expected_text(texts[i], 4)) << "agent " << i << " turn " << turn;
      texts[i] = joined(texts[i], {answer.begin(), answer.end() - 1});
      s.engine->instance_blocked(InstanceId{i + 1});
    }
  }
  EXPECT_GT(s.engine->stats().swap_pages_stored, 0u);
  EXPECT_GT(s.engine->stats().swap_pages_loaded, 0u);
  for (uint32_t i = 0; i < kAgents; ++i) close(*s.engine, InstanceId{i + 1});
  EXPECT_EQ(s.engine->stats().kv_pages_used, 0u);
  EXPECT_EQ(s.engine->stats().swap_pages_used, 0u);
}

TEST(SwapOfEngine, many_who_all_want_to_run_take_turns) {
  CacheRig s(12, with_swap());
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < 8; ++i) {
    threads.emplace_back([&, queue = s.open(i + 1), i] {
      const std::vector<TokenId> prompt = numbers(10, 50 * i);
      Sequence sequence(*s.engine, queue);
      EXPECT_EQ(sequence.generate(prompt, 30), expected_text(prompt, 30)) << "agent " << i;
      close(*s.engine, InstanceId{i + 1});
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(s.engine->stats().kv_pages_used, 0u);
}

TEST(SwapOfEngine, who_blocks_while_others_wait_in_line_makes_room_at_once) {
  CacheRig s(8, with_swap());
  Sequence first(*s.engine, s.open(1));
  ASSERT_TRUE(first.run(numbers(30, 0)).ok());
  const QueueId queue = s.open(2);
  Sequence second(*s.engine, queue);
  PendingOutput waits = submit(*s.engine, queue, second.append(numbers(20, 0)));
  EXPECT_FALSE(waits.ready()) << "the first one may go on any moment";
  s.engine->instance_blocked(InstanceId{1});
  EXPECT_EQ(waits.get()->tokens, expected_text(numbers(20, 0), 1));
  s.engine->instance_blocked(InstanceId{2});
  EXPECT_EQ(first.run({5})->tokens, expected_text(joined(numbers(30, 0), {5}), 1));
}

TEST(SwapOfEngine, without_room_on_the_disk_one_waits_in_line) {
  CacheRig s(8, with_swap(2 * kPage * sizeof(uint32_t)));
  Sequence first(*s.engine, s.open(1));
  ASSERT_TRUE(first.run(numbers(30, 0)).ok());
  s.engine->instance_blocked(InstanceId{1});
  const QueueId queue = s.open(2);
  Sequence second(*s.engine, queue);
  PendingOutput waits = submit(*s.engine, queue, second.append(numbers(20, 0)));
  // Long enough for an eviction, were it to come.
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_FALSE(waits.ready());
  EXPECT_EQ(first.run({5})->tokens, expected_text(joined(numbers(30, 0), {5}), 1));
  close(*s.engine, InstanceId{1});
  EXPECT_EQ(waits.get()->tokens, expected_text(numbers(20, 0), 1));
}

TEST(Leaks, thousands_of_instances_of_every_kind_of_end_leave_nothing) {
  EngineConfig config = with_swap();
  config.prefix_cache = true;
  CacheRig s(40, config);
  std::vector<PendingOutput> pending;
  for (uint64_t i = 1; i <= 3000; ++i) {
    const QueueId queue = s.open(i);
    Sequence sequence(*s.engine, queue);
    const auto prompt = numbers(static_cast<uint32_t>(1 + i % 30), static_cast<uint32_t>(i % 5));
    switch (i % 6) {
      case 0: break;  // never does anything
      case 1: EXPECT_TRUE(sequence.run(prompt).ok()); break;
      case 2: pending.push_back(submit(*s.engine, queue, sequence.append(prompt))); break;
      case 3: {  // a mistake of the program's
        ForwardPass pass = sequence.append(prompt);
        pass.pages.push_back(VirtualPage{99});
        EXPECT_FALSE(submit(*s.engine, queue, pass).get().ok());
        break;
      }
      case 4:  // exports, released by somebody else
        EXPECT_TRUE(sequence.run(prompt).ok());
        EXPECT_TRUE(s.engine->export_resources(queue, 0, std::vector<uint32_t>{0}, "name").ok());
        break;
      case 5:
        EXPECT_TRUE(s.engine->import_resources(queue, 0, "name").ok());
        EXPECT_TRUE(s.engine->release_exported(queue, 0, "name").ok());
        s.engine->instance_blocked(InstanceId{i});
        break;
    }
    close(*s.engine, InstanceId{i});
  }
  for (PendingOutput& output : pending) EXPECT_TRUE(output.ready());
  const EngineStats stats = s.engine->stats();
  EXPECT_EQ(stats.kv_pages_used, 0u);
  EXPECT_EQ(stats.swap_pages_used, 0u);
  EXPECT_EQ(stats.instance_count, 0u);
  EXPECT_LE(stats.kv_pages_cached, 40u);
}

}  // namespace
}  // namespace pie::engine
