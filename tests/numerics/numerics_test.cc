#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <json.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <thread>

#include "numerics/compare.h"
#include "numerics/margin_rule.h"
#include "numerics/reference.h"
#include "numerics/subject.h"
#include "support/test_model.h"

namespace pie::test {
namespace {

constexpr uint32_t kContext = 2048;

struct Prompt {
  std::string kind, text;
};

std::vector<Prompt> load_prompts() {
  std::ifstream in(PIE_PROMPTS);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  std::vector<Prompt> prompts;
  for (const common_json& entry : common_json::parse(text)) {
    prompts.push_back({entry.at("kind").get<std::string>(), entry.at("text").get<std::string>()});
  }
  return prompts;
}

Subject make_subject(const ExecutorKind& kind) {
  return {kind,
          model::Model::load(model_path()).value(),
          {.page_count = 1024, .page_size = 16, .step_tokens_max = 512, .thread_count = 1}};
}

class NumericsTest : public ::testing::TestWithParam<ExecutorKind> {};
INSTANTIATE_TEST_SUITE_P(Executors, NumericsTest, ::testing::ValuesIn(executor_kinds()), kind_name);

TEST(NumericsReferenceTest, tokens_are_the_references) {
  const auto model = model::Model::load(model_path()).value();
  const Reference reference(model_path(), 64, 1);
  for (const Prompt& prompt : load_prompts()) {
    EXPECT_EQ(ids_of(*model, prompt.text), reference.tokenize(prompt.text)) << prompt.kind;
  }
}

TEST_P(NumericsTest, logits_of_prefill_and_decode) {
  Subject subject = make_subject(GetParam());
  Reference reference(model_path(), kContext, 1);
  for (const size_t index : {0U, 3U, 9U, 13U}) {
    const Prompt prompt = load_prompts()[index];
    SCOPED_TRACE(prompt.kind);
    const std::vector<int32_t> ids = ids_of(subject.model(), prompt.text);
    const auto rows = static_cast<uint32_t>(ids.size());
    Subject::Sequence sequence;
    const Difference prefill =
        difference(subject.append(sequence, ids, rows), reference.prefill(ids, rows));
    EXPECT_LE(prefill.largest, GetParam().logit_tolerance);
    Difference decode;
    for (int i = 0; i < 12; ++i) {  // forced tokens: both sides see the same
      const int32_t token = ids[static_cast<size_t>(i) % ids.size()];
      const Difference one =
          difference(subject.append(sequence, {&token, 1}, 1), reference.decode(token));
      decode.take_worse(one);
    }
    EXPECT_LE(decode.largest, GetParam().logit_tolerance);
    std::printf("%-16s prefill: max %.4f rms %.4f   decode: max %.4f rms %.4f\n",
                prompt.kind.c_str(), prefill.largest, prefill.rms, decode.largest, decode.rms);
  }
}

/// What the tolerance rests on: the reference against itself, the same tokens in one batch or in
/// many, which are the same numbers on paper and go through different kernels.
TEST(NumericsReferenceTest, the_reference_agrees_with_itself_within_the_tolerance) {
  Reference reference(model_path(), kContext, 1);
  for (const size_t index : {9U, 16U}) {
    const Prompt prompt = load_prompts()[index];
    std::vector<int32_t> ids = reference.tokenize(prompt.text);
    ids.resize(std::min<size_t>(ids.size(), 600));
    const Difference d =
        difference(reference.prefill(ids, 1), reference.prefill_in_batches(ids, 48));
    EXPECT_LE(d.largest, kLogitTolerance);
    std::printf("%-16s reference with itself: max %.4f rms %.4f\n", prompt.kind.c_str(), d.largest,
                d.rms);
  }
}

/// All prompts decode in one batch on our side, each alone on the reference's.
TEST_P(NumericsTest, greedy_tokens_of_twenty_prompts) {
  constexpr uint32_t kCount = 64;
  const std::vector<Prompt> prompts = load_prompts();
  ASSERT_EQ(prompts.size(), 20U);
  std::vector<std::vector<ReferenceStep>> expected;
  std::thread other_side([&] {
    Reference reference(model_path(), kContext, 1);
    for (const Prompt& prompt : prompts) {
      expected.push_back(reference.greedy(reference.tokenize(prompt.text), kCount));
    }
  });
  Subject subject = make_subject(GetParam());
  const size_t vocab = subject.model().info().vocab_size;
  std::vector<Subject::Sequence> sequences(prompts.size());
  std::vector<std::vector<int32_t>> got(prompts.size());
  std::vector<Subject::Part> parts;
  size_t long_count = 0;
  for (size_t i = 0; i < prompts.size(); ++i) {
    const std::vector<int32_t> ids = ids_of(subject.model(), prompts[i].text);
    long_count += ids.size() > 1000;
    got[i].push_back(best_two(subject.append(sequences[i], ids, 1)).token);
  }
  EXPECT_GE(long_count, 3U);
  while (got[0].size() < kCount) {
    parts.clear();
    for (size_t i = 0; i < prompts.size(); ++i)
      parts.push_back({&sequences[i], {&got[i].back(), 1}});
    const std::vector<float> logits = subject.step(parts, 1);
    for (size_t i = 0; i < prompts.size(); ++i) {
      got[i].push_back(best_two(std::span(logits).subspan(i * vocab, vocab)).token);
    }
  }
  other_side.join();
  size_t equal = 0;
  for (size_t i = 0; i < prompts.size(); ++i) {
    const std::optional<Divergence> d = first_divergence(got[i], expected[i]);
    equal += !d.has_value();
    if (!d) continue;
    std::printf("%-16s differs at step %zu: %d for %d, margin %.4f\n", prompts[i].kind.c_str(),
                d->step, d->got, d->reference.token, d->reference.margin);
    EXPECT_FALSE(d->is_error()) << prompts[i].kind << " differs at a clear margin";
  }
  std::printf("%zu of %zu prompts: all %u tokens equal\n", equal, prompts.size(), kCount);
  EXPECT_GE(equal, GetParam().equal_texts_min)
      << "the rule excuses single tokens, not most of them";
}

}  // namespace
}  // namespace pie::test
