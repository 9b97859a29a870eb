// Gemma 3 270M: windows, a wide tied vocabulary, K-quants, against llama.cpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "model/architecture.h"
#include "model/tokenizer.h"
#include "numerics/compare.h"
#include "numerics/margin_rule.h"
#include "numerics/reference.h"
#include "numerics/subject.h"
#include "support/test_model.h"

namespace pie::test {
namespace {

constexpr uint32_t kContext = 1024;

const std::vector<std::string>& prompts() {
  static const std::vector<std::string> texts = {
      "<bos>The lighthouse keeper had not spoken to another person for",
      "<bos>Photosynthesis is the process by which green plants",
      "<bos>Die Geschichte der Stadt Hamburg beginnt im neunten Jahrhundert, als",
      "<bos>El agua es importante para la vida porque",
      "<bos>def fibonacci(n):\n    \"\"\"Return the n-th Fibonacci number.\"\"\"\n",
      "<bos>1, 1, 2, 3, 5, 8, 13, 21, 34, 55,",
  };
  return texts;
}

/// More than a window of tokens.
std::string long_text() {
  std::string text = "<bos>Inventory of the depots along the river:\n";
  const char* goods[] = {"barrels of oil", "crates of nails", "bales of wool", "sacks of flour"};
  for (int i = 1; i <= 36; ++i)
    text += std::to_string(i) + ". Depot " + std::to_string(i * 7 % 41) + " holds " +
            std::to_string(i * 13 % 97) + " " + goods[i % 4] + ".\n";
  return text;
}

std::shared_ptr<const model::Model> gemma() {
  static const auto model = model::Model::load(gemma_path()).value();
  return model;
}

TEST(GemmaReferenceTest, tokens_and_description) {
  const auto& a = gemma()->architecture();
  EXPECT_EQ(a.family, "gemma3");
  EXPECT_EQ(a.sliding_window, 512U);
  EXPECT_EQ(a.window_of(5), 0U);
  EXPECT_EQ(a.window_of(6), 512U);
  EXPECT_FLOAT_EQ(a.rope_of(5).base, 1e6F);
  EXPECT_FLOAT_EQ(a.rope_of(0).base, 1e4F);
  EXPECT_EQ(gemma()->info().vocab_size, 262144U);
  EXPECT_THAT(gemma()->info().description, ::testing::HasSubstr("Q4_K_M"));
  EXPECT_EQ(gemma()->tokenizer().split_regex(), "");
  const Reference reference(gemma_path(), 64, 1);
  for (const std::string& text : prompts())
    EXPECT_EQ(ids_of(*gemma(), text), reference.tokenize(text)) << text;
  const std::string odd = "  two  spaces\n\tGröße 北京 🙂 <start_of_turn>user\n";
  EXPECT_EQ(ids_of(*gemma(), odd), reference.tokenize(odd));
  EXPECT_EQ(gemma()->tokenizer().detokenize(gemma()->tokenizer().tokenize(odd)), odd);
}

class GemmaTest : public ::testing::TestWithParam<ExecutorKind> {
 protected:
  Subject subject() const {
    return {GetParam(),
            gemma(),
            {.page_count = 128, .page_size = 16, .step_tokens_max = 256, .thread_count = 1}};
  }
};
INSTANTIATE_TEST_SUITE_P(Executors, GemmaTest, ::testing::ValuesIn(executor_kinds()), kind_name);

/// The reference's logits after the long text, and after each of the tokens that follow it; once
/// for all executors.
struct LongRun {
  std::vector<int32_t> ids;
  std::vector<std::vector<float>> logits;
};

const LongRun& reference_beyond_the_window() {
  static const LongRun run = [] {
    Reference reference(gemma_path(), kContext, 1, ReferenceKernels::kPlain);
    LongRun made{reference.tokenize(long_text()), {}};
    made.logits.push_back(reference.prefill(made.ids, 1));
    for (int i = 0; i < 4; ++i)
      made.logits.push_back(reference.decode(best_two(made.logits.back()).token));
    return made;
  }();
  return run;
}

/// The reference's greedy continuations of the prompts, [kCount] tokens each; once as well.
constexpr uint32_t kCount = 32;

const std::vector<std::vector<ReferenceStep>>& reference_continuations() {
  static const std::vector<std::vector<ReferenceStep>> all = [] {
    Reference reference(gemma_path(), 128, 1);
    std::vector<std::vector<ReferenceStep>> made;
    for (const std::string& text : prompts())
      made.push_back(reference.greedy(reference.tokenize(text), kCount));
    return made;
  }();
  return all;
}

TEST_P(GemmaTest, logits_beyond_the_window) {
  const LongRun& reference = reference_beyond_the_window();
  const std::vector<int32_t> ids = ids_of(*gemma(), long_text());
  ASSERT_EQ(ids, reference.ids);
  ASSERT_GT(ids.size(), 512U + 32U);
  Subject ours = subject();
  Subject::Sequence sequence;
  Difference worst = difference(ours.append(sequence, ids, 1), reference.logits[0]);
  std::printf("prefill of %zu: max %.4f rms %.4f\n", ids.size(), static_cast<double>(worst.largest),
              worst.rms);
  for (size_t i = 1; i < reference.logits.size(); ++i) {  // with the reference's tokens
    const int32_t token = best_two(reference.logits[i - 1]).token;
    worst.take_worse(difference(ours.append(sequence, {&token, 1}, 1), reference.logits[i]));
  }
  std::printf("with decodes: max %.4f rms %.4f\n", static_cast<double>(worst.largest), worst.rms);
  EXPECT_LE(worst.largest, kGemmaTolerance.logit);
}

/// All prompts decode in one batch on our side, each alone on the reference's. Our side is fed the
/// reference's tokens, so that every step counts and not only those before the first difference.
TEST_P(GemmaTest, greedy_tokens) {
  const std::vector<std::vector<ReferenceStep>>& expected = reference_continuations();
  Subject ours = subject();
  const size_t vocab = gemma()->info().vocab_size;
  std::vector<Subject::Sequence> sequences(prompts().size());
  size_t equal = 0;
  const auto check = [&](size_t prompt, size_t step, std::span<const float> logits) {
    const ReferenceStep& reference = expected[prompt][step];
    const int32_t got = best_two(logits).token;
    equal += got == reference.token;
    if (got == reference.token) return;
    std::printf("prompt %zu, step %zu: %d for %d, margin %.4f\n", prompt, step, got,
                reference.token, static_cast<double>(reference.margin));
    EXPECT_LE(reference.margin, kGemmaTolerance.clear_margin) << prompts()[prompt];
  };
  for (size_t i = 0; i < sequences.size(); ++i)
    check(i, 0, ours.append(sequences[i], ids_of(*gemma(), prompts()[i]), 1));
  for (size_t step = 1; step < kCount; ++step) {
    std::vector<Subject::Part> parts;
    for (size_t i = 0; i < sequences.size(); ++i)
      parts.push_back({&sequences[i], {&expected[i][step - 1].token, 1}});
    const std::vector<float> logits = ours.step(parts, 1);
    for (size_t i = 0; i < sequences.size(); ++i)
      check(i, step, std::span(logits).subspan(i * vocab, vocab));
  }
  const size_t all = sequences.size() * kCount;
  std::printf("%zu of %zu tokens equal\n", equal, all);
  EXPECT_GE(equal, all * 3 / 4) << "the rule excuses single tokens, not many of them";
}

}  // namespace
}  // namespace pie::test
