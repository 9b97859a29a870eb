// The engine with the real executor and the default model.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <thread>

#include "engine/engine_harness.h"
#include "exec/open_executor.h"
#include "model/tokenizer.h"
#include "support/test_model.h"

namespace pie::engine {
namespace {

/// With ggml, batching changes the order of sums in the matrix products, and with it the logits by
/// up to this much (half of the tolerance that docs/NUMERICS.md derives). Greedy texts may part
/// where the two best tokens are closer than that, nowhere else; with the native executor nowhere.
constexpr float kTolerance = 0.35F;

std::shared_ptr<const model::Model> default_model() {
  static const auto model = model::Model::load(test::model_path()).value();
  return model;
}

std::unique_ptr<Engine> make(const exec::ExecutorKind& kind, uint32_t page_count,
                             uint32_t step_tokens_max = 128, uint32_t thread_count = 1) {
  exec::ExecutorConfig pool{
      .page_count = page_count, .step_tokens_max = step_tokens_max, .thread_count = thread_count};
  auto executor = kind.make(default_model(), pool).value();
  return Engine::create(default_model(), std::move(executor), {.seed = 3}).value();
}

class EngineWithModel : public testing::TestWithParam<exec::ExecutorKind> {
 protected:
  static std::unique_ptr<Engine> make(uint32_t page_count, uint32_t step_tokens_max = 128) {
    return engine::make(GetParam(), page_count, step_tokens_max);
  }
};

INSTANTIATE_TEST_SUITE_P(Executors, EngineWithModel, testing::ValuesIn(exec::executor_kinds()),
                         [](const auto& kind) { return std::string(kind.param.name); });

bool is_exact() { return EngineWithModel::GetParam().name == std::string_view("native"); }

std::vector<std::vector<TokenId>> prompts() {
  std::vector<std::vector<TokenId>> result;
  for (const char* text :
       {"The capital of France is", "def fibonacci(n):\n", "1, 2, 3, 4, 5,", "Once upon a time",
        "Der schnelle braune Fuchs", "Water boils at", "SELECT name FROM users WHERE",
        "To be, or not to be, that is the question: whether 'tis nobler in the mind to suffer"}) {
    result.push_back(default_model()->tokenizer().tokenize(text));
  }
  return result;
}

/// Greedy text of a prompt with, for each token, how far the second best lay behind (in logits).
struct Text {
  std::vector<TokenId> tokens;
  std::vector<float> margins;
};

Text generate(Engine& engine, QueueId queue, const std::vector<TokenId>& prompt, uint32_t count) {
  Sequence sequence(engine, queue);
  Text text;
  std::vector<TokenId> next = prompt;
  while (text.tokens.size() < count) {
    ForwardPass pass = sequence.append(next);
    pass.distributions = {{.index = pass.tokens[0].index, .top_k = 2}};
    const ForwardOutput output = submit(engine, queue, std::move(pass)).get().value();
    const Distribution& best = output.distributions.at(0);
    EXPECT_EQ(output.tokens.at(0), best.ids.at(0));
    text.margins.push_back(std::log(best.probabilities.at(0) / best.probabilities.at(1)));
    text.tokens.push_back(output.tokens.at(0));
    next = {text.tokens.back()};
  }
  return text;
}

/// Equal, or first different where the margin is too small to decide.
void expect_same(const Text& a, const Text& b) {
  if (is_exact()) EXPECT_EQ(a.margins, b.margins);
  const auto [at, other] = std::mismatch(a.tokens.begin(), a.tokens.end(), b.tokens.begin());
  if (at == a.tokens.end()) return;
  const auto index = static_cast<size_t>(at - a.tokens.begin());
  EXPECT_LT(a.margins[index], is_exact() ? 0.0F : kTolerance)
      << "token " << index << ": " << *at << " or " << *other << " at a clear margin";
}

TEST_P(EngineWithModel, says_what_the_model_says) {
  const auto engine = make(64);
  engine->open_instance(InstanceId{1}, {});
  const QueueId queue = engine->create_queue(InstanceId{1});
  const Text text = generate(*engine, queue, prompts()[0], 4);
  EXPECT_NE(default_model()->tokenizer().detokenize(text.tokens).find("Paris"), std::string::npos);
  EXPECT_GT(engine->stats().tokens_per_second, 0);
  EXPECT_EQ(engine->stats().tokens_generated, 4u);
}

TEST_P(EngineWithModel, instances_say_the_same_alone_and_in_a_batch) {
  constexpr uint32_t kCount = 12;
  const auto engine = make(128);
  const std::vector<std::vector<TokenId>> all = prompts();
  std::vector<Text> alone(all.size());
  std::vector<Text> together(all.size());
  for (size_t i = 0; i < all.size(); ++i) {
    const InstanceId instance{i + 1};
    engine->open_instance(instance, {});
    alone[i] = generate(*engine, engine->create_queue(instance), all[i], kCount);
    close(*engine, instance);
  }
  const uint64_t steps_alone = engine->stats().steps;
  std::vector<std::thread> threads;
  for (size_t i = 0; i < all.size(); ++i) {
    const InstanceId instance{100 + i};
    engine->open_instance(instance, {});
    threads.emplace_back([&, i, queue = engine->create_queue(instance)] {
      together[i] = generate(*engine, queue, all[i], kCount);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < all.size(); ++i) {
    SCOPED_TRACE(testing::Message() << "prompt " << i);
    expect_same(alone[i], together[i]);
  }
  EXPECT_LT(engine->stats().steps - steps_alone, steps_alone / 2) << "they ran as a batch";
}

TEST_P(EngineWithModel, a_prompt_in_chunks_is_the_prompt_in_one_piece) {
  const std::vector<TokenId> prompt = [] {
    std::vector<TokenId> tokens;
    for (const auto& piece : prompts()) tokens.insert(tokens.end(), piece.begin(), piece.end());
    return tokens;
  }();
  std::map<uint32_t, Text> texts;
  for (const uint32_t step_tokens_max : {19U, 512U}) {
    const auto engine = make(64, step_tokens_max);
    engine->open_instance(InstanceId{1}, {});
    texts[step_tokens_max] = generate(*engine, engine->create_queue(InstanceId{1}), prompt, 6);
  }
  expect_same(texts.at(512), texts.at(19));
}

TEST_P(EngineWithModel, hidden_states_are_not_empty_and_can_be_fed_back) {
  const auto engine = make(16);
  engine->open_instance(InstanceId{1}, {});
  const QueueId queue = engine->create_queue(InstanceId{1});
  const uint32_t slot = engine->allocate(queue, 1, 1).value().at(0);
  Sequence sequence(*engine, queue);
  ForwardPass pass = sequence.append(prompts()[0]);
  pass.embeddings = {{.index = 0, .slot = slot}};
  ASSERT_TRUE(submit(*engine, queue, std::move(pass)).get().ok());
  const auto first_token_of = [&](uint32_t pointer) {
    ForwardPass read;
    read.inputs = {{.embedding_slot = pointer}};
    read.distributions = {{.index = 0, .top_k = 4}};
    return submit(*engine, queue, read).get().value().distributions.at(0);
  };
  const uint32_t empty = engine->allocate(queue, 1, 1).value().at(0);
  EXPECT_NE(first_token_of(slot).probabilities, first_token_of(empty).probabilities);
}

/// What a program of the fleet below asks for: a prompt, then tokens one by one.
struct FleetProgram {
  std::vector<TokenId> prompt;
  bool has_mask = false;
};

std::vector<FleetProgram> fleet() {
  const std::vector<std::vector<TokenId>> texts = prompts();
  std::vector<FleetProgram> programs;
  for (uint32_t i = 0; i < 64; ++i) {
    FleetProgram program{texts[i % texts.size()], i % 5 == 2};
    // Half of them share beginnings of more than a page.
    for (uint32_t j = 0; i % 2 == 0 && j < 20; ++j) program.prompt.push_back(1000 + i % 4 * 37 + j);
    program.prompt.push_back(500 + i);
    programs.push_back(std::move(program));
  }
  return programs;
}

/// Distributions after the prompt and after each of two tokens.
std::vector<Distribution> distributions_of(Engine& engine, QueueId queue,
                                           const FleetProgram& program) {
  Sequence sequence(engine, queue);
  std::vector<Distribution> result;
  std::vector<TokenId> next = program.prompt;
  for (uint32_t step = 0; step < 3; ++step) {
    ForwardPass pass = sequence.append(next);
    pass.distributions = {{.index = pass.tokens[0].index, .top_k = 16}};
    if (program.has_mask) pass.mask.emplace(next.size(), std::vector<uint32_t>{1, 2, 1000});
    ForwardOutput output = submit(engine, queue, std::move(pass)).get().value();
    next = {output.tokens.at(0)};
    result.push_back(std::move(output.distributions.at(0)));
  }
  return result;
}

/// 64 programs, each alone, and all at once on two threads in steps of 50 tokens: the same bits.
TEST(EngineWithNativeExecutor, programs_get_the_same_bits_alone_and_together) {
  const std::vector<FleetProgram> programs = fleet();
  const exec::ExecutorKind& native = exec::executor_kind_for(*default_model());
  ASSERT_EQ(native.name, std::string_view("native"));
  std::vector<std::vector<Distribution>> alone(64), together(64);
  const auto engine = make(native, 400, 512, 1);
  for (uint32_t i = 0; i < 64; ++i) {
    engine->open_instance(InstanceId{i + 1}, {});
    alone[i] = distributions_of(*engine, engine->create_queue(InstanceId{i + 1}), programs[i]);
    close(*engine, InstanceId{i + 1});
  }
  const auto busy = make(native, 400, 50, 2);
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < 64; ++i) {
    busy->open_instance(InstanceId{i + 1}, {});
    threads.emplace_back([&, i, queue = busy->create_queue(InstanceId{i + 1})] {
      together[i] = distributions_of(*busy, queue, programs[i]);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (uint32_t i = 0; i < 64; ++i) {
    for (uint32_t step = 0; step < 3; ++step) {
      EXPECT_EQ(together[i][step].ids, alone[i][step].ids) << "program " << i;
      EXPECT_EQ(together[i][step].probabilities, alone[i][step].probabilities) << "program " << i;
    }
  }
}

}  // namespace
}  // namespace pie::engine
