// How good the numbers are, rather than how equal: perplexity beside the reference's, and the
// distance to the same weights multiplied without quantising activations.
#include <ggml-cpp.h>
#include <gguf.h>
#include <gtest/gtest.h>

#include <cmath>

#include "numerics/compare.h"
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

/// Writes a file's tensors as F32: the same numbers.
void write_as_f32(const std::filesystem::path& from, const std::filesystem::path& to) {
  ggml_context* read = nullptr;
  const gguf_context_ptr source(gguf_init_from_file(from.c_str(), {false, &read}));
  const ggml_context_ptr tensors(read);
  const gguf_context_ptr target(gguf_init_empty());
  gguf_set_kv(target.get(), source.get());
  size_t bytes = 0;
  for (ggml_tensor* t = ggml_get_first_tensor(read); t; t = ggml_get_next_tensor(read, t)) {
    bytes += static_cast<size_t>(ggml_nelements(t)) * sizeof(float) + ggml_tensor_overhead() + 64;
  }
  const ggml_context_ptr wide(ggml_init({bytes, nullptr, false}));
  for (int64_t i = 0; i < gguf_get_n_tensors(source.get()); ++i) {
    const ggml_tensor* t = ggml_get_tensor(read, gguf_get_tensor_name(source.get(), i));
    ggml_tensor* out = ggml_new_tensor(wide.get(), GGML_TYPE_F32, ggml_n_dims(t), t->ne);
    ggml_set_name(out, t->name);
    auto* values = static_cast<float*>(out->data);
    if (t->type == GGML_TYPE_F32) {
      std::copy_n(static_cast<const float*>(t->data), ggml_nelements(t), values);
    } else {
      ggml_get_type_traits(t->type)->to_float(t->data, values, ggml_nelements(t));
    }
    gguf_add_tensor(target.get(), out);
  }
  ASSERT_TRUE(gguf_write_to_file(target.get(), to.c_str(), false));
}

/// What quantising activations costs: every executor may be as far from the unquantised product as
/// the reference is, and two may be as far from each other as both distances together. This is what
/// the tolerance between kernels of different roundings rests on (docs/NUMERICS.md).
TEST(AccuracyOfKernelsTest, native_is_as_close_to_exact_products_as_the_reference) {
  const TempFile file("f32.gguf");
  write_as_f32(model_path(), file.path());
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
