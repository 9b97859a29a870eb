#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "numerics/compare.h"
#include "numerics/margin_rule.h"
#include "numerics/reference.h"
#include "numerics/subject.h"
#include "numerics/twenty_prompts.h"
#include "support/test_model.h"

namespace pie::test {
namespace {

Subject make_subject(const ExecutorKind& kind) {
  return {kind,
          default_model(),
          {.page_count = 1024, .page_size = 16, .step_tokens_max = 512, .thread_count = 1}};
}

class NumericsTest : public ::testing::TestWithParam<ExecutorKind> {};
INSTANTIATE_TEST_SUITE_P(Executors, NumericsTest, ::testing::ValuesIn(executor_kinds()), kind_name);

TEST(NumericsReferenceTest, tokens_are_the_references) {
  const Reference reference(model_path(), 64, 1);
  for (const Prompt& prompt : twenty_prompts()) {
    EXPECT_EQ(ids_of(*default_model(), prompt.text), reference.tokenize(prompt.text))
        << prompt.kind;
  }
}

TEST_P(NumericsTest, logits_of_prefill_and_decode) {
  Subject subject = make_subject(GetParam());
  Reference reference(model_path(), kReferenceContext, 1);
  for (const size_t index : {0U, 3U, 9U, 13U}) {
    const Prompt prompt = twenty_prompts()[index];
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
  Reference reference(model_path(), kReferenceContext, 1);
  for (const size_t index : {9U, 16U}) {
    const Prompt prompt = twenty_prompts()[index];
    std::vector<int32_t> ids = reference.tokenize(prompt.text);
    ids.resize(std::min<size_t>(ids.size(), 400));
    const Difference d =
        difference(reference.prefill(ids, 1), reference.prefill_in_batches(ids, 48));
    EXPECT_LE(d.largest, kLogitTolerance);
    std::printf("%-16s reference with itself: max %.4f rms %.4f\n", prompt.kind.c_str(), d.largest,
                d.rms);
  }
}

/// All prompts decode in one batch on our side, each alone on the reference's.
TEST_P(NumericsTest, greedy_tokens_of_twenty_prompts) {
  const std::vector<Prompt>& prompts = twenty_prompts();
  ASSERT_EQ(prompts.size(), 20U);
  const std::vector<SubjectRun>& ours = subject_runs(GetParam());
  const std::vector<ReferenceRun>& references = reference_runs();
  size_t long_count = 0;
  size_t equal = 0;
  for (size_t i = 0; i < prompts.size(); ++i) {
    long_count += references[i].ids.size() > 1000;
    const std::optional<Divergence> d = first_divergence(ours[i].tokens, references[i].steps);
    equal += !d.has_value();
    if (!d) continue;
    std::printf("%-16s differs at step %zu: %d for %d, margin %.4f\n", prompts[i].kind.c_str(),
                d->step, d->got, d->reference.token, static_cast<double>(d->reference.margin));
    EXPECT_FALSE(d->is_error()) << prompts[i].kind << " differs at a clear margin";
  }
  EXPECT_GE(long_count, 3U);
  std::printf("%zu of %zu prompts: all %u tokens equal\n", equal, prompts.size(), kContinuation);
  EXPECT_GE(equal, GetParam().equal_texts_min)
      << "the rule excuses single tokens, not most of them";
}

}  // namespace
}  // namespace pie::test
