#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <json.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <thread>

#include "model/tokenizer.h"
#include "numerics/margin_rule.h"
#include "numerics/reference.h"
#include "numerics/subject.h"
#include "support/test_model.h"
#include "support/tiny_gguf.h"

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

Subject make_subject() {
  return {model::Model::load(model_path()).value(),
          {.page_count = 1024, .page_size = 16, .step_tokens_max = 512, .thread_count = 1}};
}

struct Difference {
  float largest = 0.0F;
  double rms = 0.0;
};

Difference difference(std::span<const float> a, std::span<const float> b) {
  Difference d;
  EXPECT_EQ(a.size(), b.size());
  double squares = 0.0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const float delta = std::abs(a[i] - b[i]);
    EXPECT_TRUE(std::isfinite(delta));
    d.largest = std::max(d.largest, delta);
    squares += double{delta} * delta;
  }
  d.rms = std::sqrt(squares / static_cast<double>(std::max<size_t>(a.size(), 1)));
  return d;
}

std::vector<int32_t> ids_of(const model::Model& model, const std::string& text) {
  const std::vector<TokenId> ids = model.tokenizer().tokenize(text);
  return {ids.begin(), ids.end()};
}

TEST(NumericsTest, tokens_are_the_references) {
  const Subject subject = make_subject();
  const Reference reference(model_path(), 64, 1);
  for (const Prompt& prompt : load_prompts()) {
    EXPECT_EQ(ids_of(subject.model(), prompt.text), reference.tokenize(prompt.text)) << prompt.kind;
  }
}

TEST(NumericsTest, logits_of_prefill_and_decode) {
  Subject subject = make_subject();
  Reference reference(model_path(), kContext, 1);
  for (const size_t index : {0U, 3U, 9U, 13U}) {
    const Prompt prompt = load_prompts()[index];
    SCOPED_TRACE(prompt.kind);
    const std::vector<int32_t> ids = ids_of(subject.model(), prompt.text);
    const auto rows = static_cast<uint32_t>(ids.size());
    Subject::Sequence sequence;
    const Difference prefill =
        difference(subject.append(sequence, ids, rows), reference.prefill(ids, rows));
    EXPECT_LE(prefill.largest, kLogitTolerance);
    Difference decode;
    for (int i = 0; i < 12; ++i) {  // forced tokens: both sides see the same
      const int32_t token = ids[static_cast<size_t>(i) % ids.size()];
      const Difference one =
          difference(subject.append(sequence, {&token, 1}, 1), reference.decode(token));
      decode.largest = std::max(decode.largest, one.largest);
      decode.rms = std::max(decode.rms, one.rms);
    }
    EXPECT_LE(decode.largest, kLogitTolerance);
    std::printf("%-16s prefill: max %.4f rms %.4f   decode: max %.4f rms %.4f\n",
                prompt.kind.c_str(), prefill.largest, prefill.rms, decode.largest, decode.rms);
  }
}

/// What the tolerance rests on: the reference against itself, the same tokens in one batch or in
/// many, which are the same numbers on paper and go through different kernels.
TEST(NumericsTest, the_reference_agrees_with_itself_within_the_tolerance) {
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
TEST(NumericsTest, greedy_tokens_of_twenty_prompts) {
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
  Subject subject = make_subject();
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
  EXPECT_GE(equal, prompts.size() / 2) << "the rule excuses single tokens, not most of them";
}

/// Features of the family that the default model does not have.
TEST(NumericsTest, variants_of_the_family) {
  struct Variant {
    const char* name;
    TinyShape shape;
    const char* key;
    float value;
  };
  const Variant variants[] = {
      {"f32", {}, nullptr, 0},
      {"f16, own output", {.matrix_type = GGML_TYPE_F16, .has_own_output = true}, nullptr, 0},
      {"bf16, biases", {.matrix_type = GGML_TYPE_BF16, .has_qkv_bias = true}, nullptr, 0},
      {"q8_0, factors", {.matrix_type = GGML_TYPE_Q8_0, .has_rope_factors = true}, nullptr, 0},
      {"q4_0, all heads", {.heads = 2, .kv_heads = 2, .matrix_type = GGML_TYPE_Q4_0}, nullptr, 0},
      {"q5_1, long rope", {.matrix_type = GGML_TYPE_Q5_1}, "llama.rope.freq_base", 500000.0F},
  };
  for (const Variant& variant : variants) {
    SCOPED_TRACE(variant.name);
    TempFile file("tiny.gguf");
    TinyGguf tiny(variant.shape);
    if (variant.key != nullptr) gguf_set_val_f32(tiny.gguf(), variant.key, variant.value);
    tiny.write(file.path());
    Subject subject(model::Model::load(file.path()).value(),
                    {.page_count = 16, .page_size = 16, .step_tokens_max = 64, .thread_count = 1});
    Reference reference(file.path(), 256, 1);
    std::vector<int32_t> ids;
    for (int32_t i = 0; i < 50; ++i) ids.push_back((i * 37 + 11) % 257);
    Subject::Sequence sequence;
    const std::vector<float> got = subject.append(sequence, ids, 50);
    const std::vector<float> expected = reference.prefill(ids, 50);
    const float largest = std::abs(*std::max_element(expected.begin(), expected.end()));
    // F16 keys and values: 2^-11 relative, over two layers of unit-size signals.
    EXPECT_LE(difference(got, expected).largest, largest * 0.01F);
    const int32_t next = 7;
    EXPECT_LE(difference(subject.append(sequence, {&next, 1}, 1), reference.decode(next)).largest,
              largest * 0.01F);
  }
}

}  // namespace
}  // namespace pie::test
