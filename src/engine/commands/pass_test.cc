// What passes give and what is wrong with them, over an executor that remembers tokens.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "engine/test_rig.h"

namespace pie::engine {
namespace {

TEST(Engine, outputs_may_lie_in_any_chunk_and_come_in_slot_order) {
  Rig s(64, 8);
  const QueueId queue = s.open(kA);
  Sequence sequence(*s.engine, queue);
  ForwardPass pass = sequence.append(numbers(30, 10));
  pass.tokens = {{.index = 29}, {.index = 3}, {.index = 15}, {.index = 3}};
  pass.distributions = {{.index = 20, .temperature = 0, .top_k = 2}, {.index = 7, .top_k = 3}};
  const ForwardOutput output = submit(*s.engine, queue, pass).get().value();
  const auto after = [](uint32_t index) { return expected_text(numbers(index + 1, 10), 1)[0]; };
  EXPECT_EQ(output.tokens, (std::vector{after(29), after(3), after(15), after(3)}));
  ASSERT_EQ(output.distributions.size(), 2u);
  EXPECT_EQ(output.distributions[0].ids.size(), 2u);
  EXPECT_EQ(output.distributions[0].ids[0], after(20));
  EXPECT_EQ(output.distributions[1].ids.size(), 3u);
  EXPECT_EQ(output.distributions[1].ids[0], after(7));
}

TEST(Engine, what_is_asked_of_logits_may_lie_in_any_chunk) {
  Rig s(64, 8);
  const QueueId queue = s.open(kA);
  Sequence sequence(*s.engine, queue);
  ForwardPass pass = sequence.append(numbers(30, 10));
  const auto after = [](uint32_t index) { return expected_text(numbers(index + 1, 10), 1)[0]; };
  pass.tokens = {
      {.index = 29, .wants_details = true}, {.index = 3}, {.index = 4, .wants_details = true}};
  pass.logits = {{.index = 28}, {.index = 2, .best = 2}};
  pass.scores = {{.index = 17, .tokens = {after(17), 0}}, {.index = 1, .tokens = {after(1)}}};
  pass.entropies = {20, 6};
  const auto forbids = std::make_shared<sample::LogitRules>();
  forbids->allowed = {0b110};  // tokens 1 and 2
  const auto forces = std::make_shared<sample::LogitRules>();
  forces->bias = {{77, 100.0F}};
  pass.rules = {{29, forbids}, {3, forces}, {28, forbids}, {17, forces}};
  const ForwardOutput output = submit(*s.engine, queue, pass).get().value();
  EXPECT_EQ(output.tokens, (std::vector<TokenId>{1, 77, after(4)}));
  ASSERT_EQ(output.details.size(), 2u);
  // The executor's logits: 10 for the next token, 0 for 999 others.
  const float best = -std::log1p(999 * std::exp(-10.0F));
  EXPECT_NEAR(output.details[0].log_probability, best - 10, 1e-4) << "without the rules";
  EXPECT_NEAR(output.details[1].log_probability, best, 1e-4);
  ASSERT_EQ(output.logits.size(), 2u);
  ASSERT_EQ(output.logits[0].logits.size(), RecallExecutor::kVocab);
  EXPECT_EQ(output.logits[0].logits[after(28)], 10.0F);
  EXPECT_EQ(output.logits[1].ids.at(0), after(2));
  EXPECT_EQ(output.logits[1].logits, (std::vector{10.0F, 0.0F}));
  EXPECT_NEAR(output.scores.at(0).at(0), best, 1e-4);
  EXPECT_NEAR(output.scores.at(0).at(1), best - 10, 1e-4);
  EXPECT_NEAR(output.scores.at(1).at(0), best, 1e-4);
  ASSERT_EQ(output.entropies.size(), 2u);
  EXPECT_NEAR(output.entropies[0], output.entropies[1], 1e-6);
  EXPECT_GT(output.entropies[0], 0.1F);
}

TEST(Engine, seeded_draws_depend_on_seed_and_position_alone) {
  Rig s(64, 8);
  const std::vector<TokenId> prompt = numbers(12, 10);
  const sample::SamplerParams hot{.temperature = 100.0F};
  const auto draw = [&](InstanceId instance, uint64_t seed, uint64_t position) {
    const QueueId queue = s.open(instance);
    Sequence sequence(*s.engine, queue);
    ForwardPass pass = sequence.append(prompt);
    pass.tokens.clear();
    if (instance == kB) pass.tokens.push_back({.index = 3, .sampler = hot});  // another slot
    for (uint64_t i = 0; i < 4; ++i)
      pass.tokens.push_back({.index = 11, .sampler = hot, .draw = SeededDraw{seed, position + i}});
    std::vector<TokenId> tokens = submit(*s.engine, queue, pass).get()->tokens;
    close(*s.engine, instance);
    return std::vector<TokenId>(tokens.end() - 4, tokens.end());
  };
  const std::vector<TokenId> first = draw(kA, 7, 100);
  EXPECT_EQ(draw(kB, 7, 100), first);
  EXPECT_EQ(draw(kA, 7, 100), first);
  EXPECT_NE(draw(kA, 8, 100), first);
  const std::vector<TokenId> next = draw(kC, 7, 101);
  EXPECT_TRUE(std::equal(first.begin() + 1, first.end(), next.begin())) << "by position";
}

TEST(Engine, mistakes_in_rules_and_scores_are_refused) {
  Rig s;
  const QueueId queue = s.open(kA);
  const auto refused = [&](auto change) {
    ForwardPass pass;
    pass.inputs = {{.token = 1}, {.token = 2}};
    change(pass);
    return message_of(submit(*s.engine, queue, pass).get());
  };
  const auto ruled = [&](auto change) {
    return refused([&](ForwardPass& pass) {
      const auto rules = std::make_shared<sample::LogitRules>();
      change(*rules);
      pass.rules = {{0, rules}};
    });
  };
  using Rules = sample::LogitRules;
  EXPECT_EQ(ruled([](Rules&) {}), "ok");
  EXPECT_EQ(ruled([](Rules& r) { r.allowed.assign(32, 1); }), "ok");
  EXPECT_EQ(ruled([](Rules& r) { r.allowed.assign(33, 1); }),
            "[execute] got a mask of 33 words of 32 tokens, expected at most 32");
  EXPECT_EQ(ruled([](Rules& r) { r.allowed.assign(2, 0); }),
            "[execute] got a mask that allows no token, expected at least one");
  EXPECT_EQ(ruled([](Rules& r) { r.bias = {{1000, 1.0F}}; }),
            "[execute] got token id 1000, expected < 1000");
  EXPECT_EQ(ruled([](Rules& r) { r.bias = {{1, INFINITY}}; }),
            "[execute] got a bias of inf for token 1, expected a finite one");
  EXPECT_EQ(ruled([](Rules& r) { r.bias.assign(1001, {1, 1.0F}); }),
            "[execute] got 0 penalties and 1001 biases at one index, expected at most 1000");
  EXPECT_EQ(ruled([](Rules& r) { r.penalties = {{.token = 5, .divisor = 0}}; }),
            "[execute] got a penalty of 0 and 0 for token 5, expected a finite number above 0 and "
            "a finite one");
  EXPECT_EQ(refused([](ForwardPass& p) { p.rules = {{2, nullptr}}; }),
            "[execute] got output index 2, expected < 2 (inputs of this pass)");
  EXPECT_EQ(refused([](ForwardPass& p) { p.rules = {{1, nullptr}, {1, nullptr}}; }),
            "[execute] got two rules for index 1, expected at most one");
  EXPECT_EQ(refused([](ForwardPass& p) { p.logits = {{.index = 2}}; }),
            "[execute] got output index 2, expected < 2 (inputs of this pass)");
  EXPECT_EQ(refused([](ForwardPass& p) { p.entropies = {7}; }),
            "[execute] got output index 7, expected < 2 (inputs of this pass)");
  EXPECT_EQ(refused([](ForwardPass& p) { p.entropies.assign(65, 1); }),
            "[execute] got more than 64 outputs at index 1, expected at most that many: ask for "
            "the others in a further pass");
  EXPECT_EQ(refused([](ForwardPass& p) { p.scores = {{.index = 0, .tokens = {1, 1000}}}; }),
            "[execute] got token id 1000, expected < 1000");
}

TEST(Engine, masks_are_cut_along_with_their_chunks) {
  Rig s(64, 4);
  const QueueId queue = s.open(kA);
  Sequence sequence(*s.engine, queue);
  ForwardPass pass = sequence.append(numbers(11, 10));
  // Row i attends slot 0 and its own slot.
  pass.mask.emplace();
  for (uint32_t i = 0; i < 11; ++i) {
    pass.mask->push_back(i == 0 ? std::vector<uint32_t>{1} : std::vector<uint32_t>{1, i - 1, 1});
  }
  pass.tokens = {{.index = 9}, {.index = 2}};
  const ForwardOutput output = submit(*s.engine, queue, pass).get().value();
  EXPECT_EQ(output.tokens, (std::vector{RecallExecutor::next_token({{0, 10}, {9, 19}}),
                                        RecallExecutor::next_token({{0, 10}, {2, 12}})}));
}

TEST(Engine, passes_without_pages_see_themselves_only_at_any_length) {
  Rig s(64, 8);
  const QueueId queue = s.open(kA);
  for (const uint32_t count : {1, 8, 9, 60}) {
    ForwardPass pass;
    for (const TokenId token : numbers(count, 40)) pass.inputs.push_back({.token = token});
    pass.tokens = {{.index = count - 1}};
    EXPECT_EQ(submit(*s.engine, queue, pass).get()->tokens, expected_text(numbers(count, 40), 1));
  }
  close(*s.engine, kA);
  EXPECT_EQ(s.engine->stats().kv_pages_used, 0u);
}

TEST(Engine, embedding_slots_carry_rows_from_pass_to_pass) {
  Rig s;
  const QueueId queue = s.open(kA);
  const std::vector<uint32_t> slots = s.engine->allocate(queue, 1, 2).value();
  EXPECT_EQ(slots, (std::vector<uint32_t>{0, 1}));
  Sequence sequence(*s.engine, queue);
  ForwardPass pass = sequence.append({1, 2, 3});
  pass.embeddings = {{.index = 1, .slot = 1}, {.index = 2, .slot = 0}};
  PendingOutput written = submit(*s.engine, queue, pass);
  ForwardPass read;
  read.inputs = {{.embedding_slot = 0}, {.embedding_slot = 1}};
  read.tokens = {{.index = 1}};
  PendingOutput output = submit(*s.engine, queue, read);  // at once: the queue keeps the order
  const TokenId after_two = expected_text({1, 2}, 1)[0];
  const TokenId after_three = expected_text({1, 2, 3}, 1)[0];
  EXPECT_EQ(output.get()->tokens, expected_text({after_three, after_two}, 1));
}

TEST(Engine, a_programs_mistakes_name_the_call_the_value_and_the_bound) {
  Rig s;
  const QueueId queue = s.open(kA);
  ASSERT_TRUE(s.engine->allocate(queue, 0, 3).ok());
  ASSERT_TRUE(s.engine->allocate(queue, 1, 1).ok());
  const ForwardPass good = [] {
    ForwardPass pass;
    pass.inputs = {{.token = 1}, {.token = 2}};
    pass.pages = {VirtualPage{0}};
    pass.last_page_len = 2;
    return pass;
  }();
  const auto refused = [&](auto change) {
    ForwardPass pass = good;
    change(pass);
    const Result<ForwardOutput> result = submit(*s.engine, queue, pass).get();
    EXPECT_TRUE(result.ok() || result.error().code == ErrorCode::kInvalidArgument);
    return message_of(result);
  };
  EXPECT_EQ(refused([](ForwardPass&) {}), "ok");
  EXPECT_EQ(refused([](ForwardPass& p) { p.inputs[1].token = 1000; }),
            "[execute] got token id 1000, expected < 1000");
  EXPECT_EQ(refused([](ForwardPass& p) { p.inputs.clear(); }),
            "[execute] got no inputs, expected at least one token");
  EXPECT_EQ(refused([](ForwardPass& p) { p.pages = {VirtualPage{3}}; }),
            "[execute] got KV page pointer 3, expected one that this instance has allocated");
  EXPECT_EQ(refused([](ForwardPass& p) { p.last_page_len = 0; }),
            "[execute] got last-kv-page-len 0, expected 1 to 4");
  EXPECT_EQ(refused([](ForwardPass& p) { p.last_page_len = 5; }),
            "[execute] got last-kv-page-len 5, expected 1 to 4");
  EXPECT_EQ(refused([](ForwardPass& p) { p.last_page_len = 1; }),
            "[execute] got 1 KV pages that hold 1 tokens, expected room for this pass's 2 tokens");
  EXPECT_EQ(refused([](ForwardPass& p) { p.pages = {VirtualPage{0}, VirtualPage{0}}; }),
            "[execute] got KV page pointer 0 twice, expected once: this pass writes to that page");
  EXPECT_EQ(
      refused([](ForwardPass& p) { p.pages = {VirtualPage{1}, VirtualPage{1}, VirtualPage{0}}; }),
      "ok")
      << "a page that is only read may occur as often as it likes";
}

TEST(Engine, mistakes_in_masks_outputs_and_resources_are_refused) {
  Rig s;
  const QueueId queue = s.open(kA);
  ASSERT_TRUE(s.engine->allocate(queue, 0, 3).ok());
  const auto refused = [&](auto change) {
    ForwardPass pass;
    pass.inputs = {{.token = 1}, {.token = 2}};
    change(pass);
    return message_of(submit(*s.engine, queue, pass).get());
  };
  EXPECT_EQ(refused([](ForwardPass& p) { p.mask.emplace(1, std::vector<uint32_t>{1}); }),
            "[execute] got 1 attention mask rows, expected 2 (one per input)");
  EXPECT_EQ(refused([](ForwardPass& p) { p.tokens = {{.index = 2}}; }),
            "[execute] got output index 2, expected < 2 (inputs of this pass)");
  EXPECT_EQ(refused([](ForwardPass& p) { p.distributions = {{.index = UINT32_MAX}}; }),
            "[execute] got output index 4294967295, expected < 2 (inputs of this pass)");
  EXPECT_EQ(refused([](ForwardPass& p) { p.embeddings = {{.index = 0, .slot = 4}}; }),
            "[execute] got embedding pointer 4, expected one that this instance has allocated");
  EXPECT_EQ(refused([](ForwardPass& p) { p.inputs[0].embedding_slot = 0; }),
            "[execute] got embedding pointer 0, expected one that this instance has allocated");
  const auto dealloc = [&](std::vector<uint32_t> pointers) {
    const Result<void> result = s.engine->deallocate(queue, 0, pointers);
    return result.ok() ? "ok" : result.error().message;
  };
  EXPECT_EQ(dealloc({0, 7}),
            "[deallocate-resources] got KV page pointer 7, expected one that this instance has "
            "allocated");
  EXPECT_EQ(dealloc({1, 1}), "[deallocate-resources] got pointer 1 twice, expected each once");
  EXPECT_EQ(dealloc({0, 1, 2}), "ok") << "the refused calls changed nothing";
  EXPECT_EQ(s.engine->allocate(queue, 9, 1).error().message,
            "[allocate-resources] got resource type 9, expected 0 (KV page), 1 (embedding slot) or "
            "2 (adapter)");
}

}  // namespace
}  // namespace pie::engine
