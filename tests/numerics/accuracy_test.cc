// How good the numbers are, rather than how equal: perplexity beside the reference's, and the
// distance to the same weights multiplied without quantising activations.
#include <gtest/gtest.h>

#include <cmath>

#include "numerics/compare.h"
#include "numerics/gguf_types.h"
#include "numerics/subject.h"
#include "numerics/twenty_prompts.h"
#include "support/temp_file.h"
#include "support/test_model.h"

namespace pie::test {
namespace {

class AccuracyTest : public ::testing::TestWithParam<ExecutorKind> {};
INSTANTIATE_TEST_SUITE_P(Executors, AccuracyTest, ::testing::ValuesIn(executor_kinds()), kind_name);

TEST_P(AccuracyTest, perplexity_is_the_references) {
  const std::vector<SubjectRun>& ours = subject_runs(GetParam());
  double got = 0.0;
  double expected = 0.0;
  size_t tokens = 0;
  for (size_t i = 0; i < ours.size(); ++i) {
    got += ours[i].surprise;
    expected += reference_runs()[i].surprise;
    tokens += reference_runs()[i].ids.size() - 1;
  }
  ASSERT_GT(tokens, 3000U);
  const auto perplexity = [&](double sum) { return std::exp(sum / static_cast<double>(tokens)); };
  const double ratio = perplexity(got) / perplexity(expected);
  std::printf("%s: perplexity %.4f over %zu tokens, the reference's %.4f: %+.3f %%\n",
              GetParam().name, perplexity(got), tokens, perplexity(expected),
              100.0 * (ratio - 1.0));
  EXPECT_NEAR(ratio, 1.0, 0.003);
}

/// What pages of fewer bits than F16's cost: the perplexity of every fourth prompt beside that over
/// F16 pages.
TEST(AccuracyOfPagesTest, perplexity_over_bf16_and_q8_is_that_over_f16) {
  const ExecutorKind& native = executor_kinds().back();
  ASSERT_STREQ(native.name, "native");
  for (const exec::KvFormat format : {exec::KvFormat::kBf16, exec::KvFormat::kQ8}) {
    double got = 0.0;
    double expected = 0.0;
    size_t tokens = 0;
    for (size_t i = 1; i < twenty_prompts().size(); i += 4) {
      got += surprise_over(format, native, i);
      expected += subject_runs(native)[i].surprise;
      tokens += ids_of(*default_model(), twenty_prompts()[i].text).size() - 1;
    }
    const double ratio = std::exp((got - expected) / static_cast<double>(tokens));
    std::printf("pages of %s: perplexity %+.3f %% over %zu tokens\n",
                std::string(exec::kv_format_name(format)).c_str(), 100.0 * (ratio - 1.0), tokens);
    EXPECT_NEAR(ratio, 1.0, 0.01);
  }
}

/// What quantising activations costs: every executor may be as far from the unquantised product as
/// the reference is, and two may be as far from each other as both distances together. This is what
/// the tolerance between kernels of different roundings rests on (docs/NUMERICS.md).
TEST(AccuracyOfKernelsTest, native_is_as_close_to_exact_products_as_the_reference) {
  const TempFile file("f32.gguf");
  write_tensors_as(GGML_TYPE_F32, model_path(), file.path());
  const exec::ExecutorConfig config{.page_count = 64, .step_tokens_max = 256, .thread_count = 1};
  const std::string text = twenty_prompts()[17].text.substr(0, 700);
  const auto logits_of = [&](const char* name, std::shared_ptr<const model::Model> model) {
    const auto& kinds = executor_kinds();
    const auto kind = std::find_if(kinds.begin(), kinds.end(), [&](const ExecutorKind& k) {
      return k.name == std::string_view(name);
    });
    Subject subject(*kind, std::move(model), config);
    Subject::Sequence sequence;
    const std::vector<int32_t> ids = ids_of(*default_model(), text);
    return subject.append(sequence, ids, static_cast<uint32_t>(ids.size()));
  };
  const auto exact = logits_of("ggml", model::Model::load(file.path()).value());
  const auto reference = logits_of("ggml", default_model());
  const auto native = logits_of("native", default_model());
  const Difference of_reference = difference(reference, exact);
  const Difference of_native = difference(native, exact);
  const Difference between = difference(native, reference);
  std::printf(
      "to exact products: reference max %.4f rms %.4f, native max %.4f rms %.4f; between "
      "the two max %.4f rms %.4f\n",
      static_cast<double>(of_reference.largest), of_reference.rms,
      static_cast<double>(of_native.largest), of_native.rms, static_cast<double>(between.largest),
      between.rms);
  EXPECT_LE(of_native.rms, 1.1 * of_reference.rms);
}

}  // namespace
}  // namespace pie::test
