// What passes give and what is wrong with them, over an executor that remembers tokens.
#include <gtest/gtest.h>

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
  EXPECT_EQ(s.engine->allocate(queue, 2, 1).error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(s.engine->allocate(queue, 9, 1).error().message,
            "[allocate-resources] got resource type 9, expected 0 (KV page), 1 (embedding slot) or "
            "2 (adapter)");
}

}  // namespace
}  // namespace pie::engine
