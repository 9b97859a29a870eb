// Every family, tensor type, scaling of positions and kind of layer, on tiny models of random
// weights: logits of our executors against llama.cpp's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "numerics/compare.h"
#include "numerics/reference.h"
#include "numerics/subject.h"
#include "support/tiny_gguf.h"

namespace pie::test {
namespace {

constexpr uint32_t kContext = 256;

struct Number {
  const char* key;  ///< after the family's name
  float value;
};

struct Variant {
  const char* name;
  TinyShape shape;
  std::vector<Number> floats = {};
  const char* scaling = nullptr;
};

std::vector<Variant> variants() {
  const std::vector<Number> by_four = {{"rope.scaling.factor", 4.0F}};
  return {
      {"llama f32", {}},
      {"llama f16, own output", {.matrix_type = GGML_TYPE_F16, .has_own_output = true}},
      {"llama bf16, biases", {.matrix_type = GGML_TYPE_BF16, .has_qkv_bias = true}},
      {"llama q8_0, llama 3's factors", {.matrix_type = GGML_TYPE_Q8_0, .has_rope_factors = true}},
      {"llama q4_0, all heads", {.kv_heads = 2, .matrix_type = GGML_TYPE_Q4_0}},
      {"llama q4_1", {.matrix_type = GGML_TYPE_Q4_1}},
      {"llama q5_0", {.matrix_type = GGML_TYPE_Q5_0}},
      {"llama q5_1, long rope", {.matrix_type = GGML_TYPE_Q5_1}, {{"rope.freq_base", 500000.0F}}},
      {"llama q4_K", {.embedding = 256, .heads = 4, .ffn = 512, .matrix_type = GGML_TYPE_Q4_K}},
      {"llama q6_K", {.embedding = 256, .heads = 4, .ffn = 512, .matrix_type = GGML_TYPE_Q6_K}},
      {"llama linear scaling", {}, by_four, "linear"},
      {"llama linear scaling, older key", {}, {{"rope.scale_linear", 2.0F}}},
      {"llama factor without effect", {}, by_four, "none"},
      {"llama yarn", {}, by_four, "yarn"},
      {"qwen2", {.family = "qwen2"}},
      {"qwen2 own output, yarn", {.family = "qwen2", .has_own_output = true}, by_four, "yarn"},
      {"qwen3", {.family = "qwen3"}},
      {"qwen3 wide heads", {.family = "qwen3", .heads = 4, .kv_heads = 2, .head_size = 32}},
      {"qwen3 yarn with a factor",
       {.family = "qwen3"},
       {{"rope.scaling.factor", 8.0F}, {"rope.scaling.attn_factor", 1.2F}},
       "yarn"},
      {"gemma2", {.family = "gemma2", .layers = 4, .window = 20}},
      {"gemma2 wide caps",
       {.family = "gemma2", .layers = 4, .window = 300},
       {{"attn_logit_softcapping", 5.0F}, {"final_logit_softcapping", 7.0F}}},
      {"gemma3", {.family = "gemma3", .layers = 7, .window = 24}},
      {"gemma3 wide heads, q8_0",
       {.family = "gemma3",
        .heads = 4,
        .layers = 6,
        .head_size = 64,
        .window = 9,
        .matrix_type = GGML_TYPE_Q8_0}},
      {"gemma3 no window", {.family = "gemma3", .layers = 3}},
      {"gemma3 extended, other base",
       {.family = "gemma3", .layers = 7, .window = 24},
       {{"rope.freq_base", 1000000.0F},
        {"rope.freq_base_swa", 5000.0F},
        {"rope.scaling.factor", 8.0F},
        {"final_logit_softcapping", 11.0F}},
       "linear"},
  };
}

void write(const Variant& variant, const std::filesystem::path& path) {
  TinyGguf tiny(variant.shape);
  for (const Number& number : variant.floats) tiny.set_float(tiny.key(number.key), number.value);
  if (variant.scaling != nullptr) tiny.set_text(tiny.key("rope.scaling.type"), variant.scaling);
  if (variant.scaling != nullptr && std::string_view(variant.scaling) == "yarn")
    tiny.set(tiny.key("rope.scaling.original_context_length"), 64);
  tiny.write(path);
}

std::vector<int32_t> some_ids(int32_t count) {
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < count; ++i) ids.push_back((i * 37 + 11) % 257);
  return ids;
}

class FamiliesTest : public ::testing::TestWithParam<ExecutorKind> {};
INSTANTIATE_TEST_SUITE_P(Executors, FamiliesTest, ::testing::ValuesIn(executor_kinds()), kind_name);

TEST_P(FamiliesTest, logits_are_the_references) {
  for (const Variant& variant : variants()) {
    SCOPED_TRACE(variant.name);
    TempFile file("tiny.gguf");
    write(variant, file.path());
    const auto model = model::Model::load(file.path()).value();
    const exec::ExecutorConfig config = {
        .page_count = 32, .page_size = 16, .step_tokens_max = 64, .thread_count = 1};
    if (!GetParam().serves(*model)) {
      const auto refused = GetParam().make(model, config);
      ASSERT_FALSE(refused.ok());
      EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
      continue;
    }
    Subject subject(GetParam(), model, config);
    Reference reference(file.path(), kContext, 1, ReferenceKernels::kPlain);
    const std::vector<int32_t> ids = some_ids(60);
    Subject::Sequence sequence;
    const std::vector<float> expected = reference.prefill(ids, 60);
    const float largest = magnitude(expected);
    Difference worst = difference(subject.append(sequence, ids, 60), expected);
    for (int32_t i = 0; i < 40; ++i) {
      const int32_t token = (i * 29 + 5) % 257;
      worst.take_worse(
          difference(subject.append(sequence, {&token, 1}, 1), reference.decode(token)));
    }
    const bool is_quantised = ggml_is_quantized(variant.shape.matrix_type);
    EXPECT_LE(worst.largest, largest * (is_quantised ? GetParam().tiny_quantised_tolerance
                                                     : GetParam().tiny_tolerance));
    std::printf("%-32s largest logit %8.3f, largest difference %.5f\n", variant.name,
                static_cast<double>(largest), static_cast<double>(worst.largest));
  }
}

/// A variant whose numbers did not matter would be equal for the wrong reason.
TEST_P(FamiliesTest, every_number_matters) {
  const auto logits_of = [&](const Variant& variant) {
    TempFile file("tiny.gguf");
    write(variant, file.path());
    Subject subject(GetParam(), model::Model::load(file.path()).value(),
                    {.page_count = 32, .step_tokens_max = 64, .thread_count = 1});
    Subject::Sequence sequence;
    return subject.append(sequence, some_ids(60), 1);
  };
  for (const char* family : {"llama", "qwen3"}) {
    const auto plain = logits_of({"plain", {.family = family}});
    for (const char* scaling : {"linear", "yarn"}) {
      const auto scaled =
          logits_of({"scaled", {.family = family}, {{"rope.scaling.factor", 4.0F}}, scaling});
      EXPECT_GT(difference(plain, scaled).largest, magnitude(plain) * 2 * GetParam().tiny_tolerance)
          << scaling;
    }
  }
  const TinyShape gemma = {.family = "gemma3", .layers = 7, .window = 24};
  const auto plain = logits_of({"plain", gemma});
  for (const Number& number : {Number{"rope.freq_base", 1e6F}, Number{"rope.freq_base_swa", 500.0F},
                               Number{"final_logit_softcapping", 5.0F}}) {
    EXPECT_GT(difference(plain, logits_of({"other", gemma, {number}})).largest,
              magnitude(plain) * 2 * GetParam().tiny_tolerance)
        << number.key;
  }
  const auto wide = logits_of({"wide", {.family = "gemma3", .layers = 7, .window = 25}});
  EXPECT_GT(difference(plain, wide).largest, magnitude(plain) * 2 * GetParam().tiny_tolerance)
      << "window";
}

TEST_P(FamiliesTest, shards_are_one_model) {
  TempFile file("whole.gguf");
  TinyGguf tiny({.family = "qwen3", .layers = 5});
  tiny.write(file.path());
  const auto shards = tiny.write_shards(file.folder(), "parted", 4);
  ASSERT_EQ(shards.size(), 4U);
  const exec::ExecutorConfig config = {.page_count = 8, .step_tokens_max = 64, .thread_count = 1};
  const auto logits_of = [&](const std::filesystem::path& path) {
    Subject subject(GetParam(), model::Model::load(path).value(), config);
    Subject::Sequence sequence;
    return subject.append(sequence, some_ids(40), 40);
  };
  const auto whole = logits_of(file.path());
  EXPECT_EQ(logits_of(shards[0]), whole);
  EXPECT_EQ(logits_of(shards[2]), whole) << "any shard names the model";
  Reference reference(shards[0], kContext, 1);
  const auto expected = reference.prefill(some_ids(40), 40);
  EXPECT_LE(difference(whole, expected).largest, magnitude(expected) * GetParam().tiny_tolerance);
}

}  // namespace
}  // namespace pie::test
