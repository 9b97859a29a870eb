// How good the numbers are, rather than how equal: perplexity beside the reference's, and the
// distance to the same weights multiplied without quantising activations.
#include <ggml-cpp.h>
#include <gguf.h>
#include <gtest/gtest.h>
#include <json.h>

#include <cmath>
#include <fstream>
#include <iterator>

#include "numerics/compare.h"
#include "numerics/reference.h"
#include "numerics/subject.h"
#include "support/temp_file.h"
#include "support/test_model.h"

namespace pie::test {
namespace {

std::vector<std::string> texts() {
  std::ifstream in(PIE_PROMPTS);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  std::vector<std::string> list;
  for (const common_json& entry : common_json::parse(text)) {
    list.push_back(entry.at("text").get<std::string>());
  }
  return list;
}

std::shared_ptr<const model::Model> default_model() {
  static const auto model = model::Model::load(model_path()).value();
  return model;
}

/// Sum of -log p of each token of ids[first + 1, ...] by the rows of logits before it.
double surprise(std::span<const float> logits, std::span<const int32_t> ids, size_t first,
                size_t rows) {
  const size_t vocab = logits.size() / rows;
  double sum = 0.0;
  for (size_t r = 0; r < rows && first + r + 1 < ids.size(); ++r) {
    const auto row = logits.subspan(r * vocab, vocab);
    const double largest = *std::max_element(row.begin(), row.end());
    double total = 0.0;
    for (const float logit : row) total += std::exp(logit - largest);
    sum += std::log(total) + largest - row[static_cast<size_t>(ids[first + r + 1])];
  }
  return sum;
}

struct TextCount {
  double surprise = 0.0;
  size_t tokens = 0;
  double perplexity() const { return std::exp(surprise / static_cast<double>(tokens)); }
};

TextCount of_reference() {
  Reference reference(model_path(), 2048, 1);
  TextCount count;
  for (const std::string& text : texts()) {
    const std::vector<int32_t> ids = reference.tokenize(text);
    const auto rows = static_cast<uint32_t>(ids.size());
    count.surprise += surprise(reference.prefill(ids, rows), ids, 0, rows);
    count.tokens += rows - 1;
  }
  return count;
}

class AccuracyTest : public ::testing::TestWithParam<ExecutorKind> {};
INSTANTIATE_TEST_SUITE_P(Executors, AccuracyTest, ::testing::ValuesIn(executor_kinds()), kind_name);

TEST_P(AccuracyTest, perplexity_is_the_references) {
  constexpr uint32_t kStep = 256;
  static const TextCount expected = of_reference();
  Subject subject(GetParam(), default_model(),
                  {.page_count = 1024, .step_tokens_max = kStep, .thread_count = 1});
  TextCount got;
  for (const std::string& text : texts()) {
    const std::vector<int32_t> ids = ids_of(*default_model(), text);
    Subject::Sequence sequence;
    for (size_t at = 0; at < ids.size(); at += kStep) {
      const size_t rows = std::min<size_t>(kStep, ids.size() - at);
      const auto logits = subject.step({{&sequence, std::span(ids).subspan(at, rows)}},
                                       static_cast<uint32_t>(rows));
      got.surprise += surprise(logits, ids, at, rows);
    }
    got.tokens += ids.size() - 1;
  }
  ASSERT_EQ(got.tokens, expected.tokens);
  std::printf("%s: perplexity %.4f over %zu tokens, the reference's %.4f: %+.3f %%\n",
              GetParam().name, got.perplexity(), got.tokens, expected.perplexity(),
              100.0 * (got.perplexity() / expected.perplexity() - 1.0));
  EXPECT_NEAR(got.perplexity() / expected.perplexity(), 1.0, 0.003);
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
  const std::string text = texts()[17].substr(0, 700);
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
