#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "model/architecture.h"
#include "model/chat_template.h"
#include "model/model.h"
#include "model/tokenizer.h"
#include "model/weights.h"
#include "support/tiny_gguf.h"

namespace pie::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

using Loaded = Result<std::shared_ptr<const Model>>;

template <class Change>
Loaded load(const test::TinyShape& shape, Change change) {
  test::TempFile file("tiny.gguf");
  test::TinyGguf tiny(shape);
  change(tiny);
  tiny.write(file.path());
  return Model::load(file.path());
}

std::shared_ptr<const Model> load(const test::TinyShape& shape) {
  return load(shape, [](test::TinyGguf&) {}).value();
}

void expect_error(const Loaded& got, ErrorCode code, const std::string& words) {
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().code, code) << got.error().message;
  EXPECT_THAT(got.error().message, HasSubstr(words));
}

TEST(FamiliesTest, qwen2_has_biases) {
  const auto model = load({.family = "qwen2"});
  const Architecture& a = model->architecture();
  EXPECT_EQ(a.rope.kind, RopeKind::kHalves);
  EXPECT_TRUE(a.has_qkv_bias);
  EXPECT_FALSE(a.has_qk_norm);
  EXPECT_THAT(model->weights().get(TensorRole::kKeyBias, 1).shape, ElementsAre(16));
}

TEST(FamiliesTest, qwen3_norms_its_heads) {
  const auto model = load({.family = "qwen3", .heads = 4, .kv_heads = 2, .head_size = 32});
  const Architecture& a = model->architecture();
  EXPECT_TRUE(a.has_qk_norm);
  EXPECT_FALSE(a.has_qkv_bias);
  EXPECT_EQ(a.key_size, 32U);
  EXPECT_FLOAT_EQ(a.attention_scale, 1.0F / std::sqrt(32.0F));
  EXPECT_THAT(model->weights().get(TensorRole::kQuery, 0).shape, ElementsAre(128, 32));
  EXPECT_THAT(model->weights().get(TensorRole::kQueryNorm, 1).shape, ElementsAre(32));
  EXPECT_THAT(model->weights().get(TensorRole::kAttentionOutput, 1).shape, ElementsAre(32, 128));
}

TEST(FamiliesTest, gemma3_sees_windows_in_five_of_six_layers) {
  const auto model = load({.family = "gemma3", .layers = 8, .window = 16}, [](test::TinyGguf& t) {
                       t.set_float("gemma3.rope.freq_base", 1e6F);
                       t.set_float("gemma3.rope.scaling.factor", 8.0F);
                       t.set_float("gemma3.final_logit_softcapping", 30.0F);
                     }).value();
  const Architecture& a = model->architecture();
  EXPECT_EQ(a.sliding_window, 16U);
  EXPECT_THAT(a.is_windowed, ElementsAre(true, true, true, true, true, false, true, true));
  EXPECT_EQ(a.window_of(0), 16U);
  EXPECT_EQ(a.window_of(5), 0U);
  EXPECT_FLOAT_EQ(a.rope_of(5).base, 1e6F);
  EXPECT_EQ(a.rope_of(5).scaling, RopeScaling::kLinear);
  EXPECT_FLOAT_EQ(a.rope_of(5).factor, 8.0F);
  EXPECT_FLOAT_EQ(a.rope_of(6).base, 1e4F);
  EXPECT_EQ(a.rope_of(6).scaling, RopeScaling::kNone);
  EXPECT_FLOAT_EQ(a.rope_of(6).factor, 1.0F);
  EXPECT_FLOAT_EQ(a.embedding_scale, std::sqrt(32.0F));
  EXPECT_FLOAT_EQ(a.logit_softcap, 30.0F);
  EXPECT_FLOAT_EQ(a.attention_softcap, 0.0F);
  EXPECT_EQ(a.activation, Activation::kGeluTanh);
  EXPECT_TRUE(a.has_qk_norm && a.has_post_norms && a.has_tied_output);
  EXPECT_THAT(model->weights().get(TensorRole::kFfnPostNorm, 7).name,
              ::testing::StrEq("blk.7.post_ffw_norm.weight"));
}

TEST(FamiliesTest, windows_as_the_file_lists_them) {
  const auto with_flags = [](const std::vector<int8_t>& flags) {
    return load({.family = "gemma3", .layers = 3, .window = 16}, [&](test::TinyGguf& t) {
      gguf_set_arr_data(t.gguf(), "gemma3.attention.sliding_window_pattern", GGUF_TYPE_BOOL,
                        flags.data(), flags.size());
    });
  };
  EXPECT_THAT(with_flags({0, 1, 0}).value()->architecture().is_windowed,
              ElementsAre(false, true, false));
  expect_error(with_flags({0, 1}), ErrorCode::kCorrupt, "got 2 layers, expected 3");
  const auto every_second =
      load({.family = "gemma3", .layers = 4, .window = 16},
           [](test::TinyGguf& t) { t.set("gemma3.attention.sliding_window_pattern", 2); });
  EXPECT_THAT(every_second.value()->architecture().is_windowed,
              ElementsAre(true, false, true, false));
  EXPECT_THAT(load({.family = "gemma3"})->architecture().is_windowed, IsEmpty());
  const auto other_heads = load({.family = "gemma3", .window = 16}, [](test::TinyGguf& t) {
    t.set("gemma3.attention.key_length_swa", 8);
  });
  expect_error(other_heads, ErrorCode::kUnsupported, "key_length_swa");
}

TEST(FamiliesTest, gemma2_caps_what_it_computes) {
  const auto model = load({.family = "gemma2", .layers = 3});
  const Architecture& a = model->architecture();
  EXPECT_FLOAT_EQ(a.attention_softcap, 50.0F);
  EXPECT_FLOAT_EQ(a.logit_softcap, 30.0F);
  EXPECT_EQ(a.sliding_window, 4096U);
  EXPECT_THAT(a.is_windowed, ElementsAre(true, false, true));
  const auto negative = load({.family = "gemma2"}, [](test::TinyGguf& t) {
    t.set_float("gemma2.attn_logit_softcapping", -1.0F);
  });
  expect_error(negative, ErrorCode::kCorrupt, "attn_logit_softcapping");
}

TEST(FamiliesTest, scalings_of_positions) {
  const auto with = [](const char* kind, float factor) {
    return load({}, [&](test::TinyGguf& t) {
      if (kind != nullptr) t.set_text("llama.rope.scaling.type", kind);
      t.set_float("llama.rope.scaling.factor", factor);
      t.set("llama.rope.scaling.original_context_length", 64);
    });
  };
  const auto rope = [&](const char* kind, float factor) {
    return with(kind, factor).value()->architecture().rope;
  };
  EXPECT_EQ(rope("yarn", 4.0F).scaling, RopeScaling::kYarn);
  EXPECT_EQ(rope("yarn", 4.0F).original_context, 64U);
  EXPECT_EQ(rope(nullptr, 4.0F).scaling, RopeScaling::kLinear) << "as llama.cpp takes it";
  EXPECT_EQ(rope("none", 4.0F).factor, 1.0F);
  EXPECT_EQ(rope("linear", 1.0F).scaling, RopeScaling::kNone);
  expect_error(with("linear", 0.5F), ErrorCode::kCorrupt, "rope.scaling.factor");
  const auto base = load({}, [](test::TinyGguf& t) { t.set_float("llama.rope.freq_base", 1.0F); });
  expect_error(base, ErrorCode::kCorrupt, "rope.freq_base");
  const auto betas =
      load({}, [](test::TinyGguf& t) { t.set_float("llama.rope.scaling.yarn_beta_slow", 64.0F); });
  expect_error(betas, ErrorCode::kCorrupt, "yarn_beta_fast");
}

TEST(FamiliesTest, a_tensor_that_a_family_needs_is_named) {
  const auto without_norms = load({.family = "qwen2"}, [](test::TinyGguf& t) {
    t.set_text("general.architecture", "qwen3");
    for (const char* key : {"block_count", "context_length", "embedding_length",
                            "feed_forward_length", "attention.head_count"})
      t.set(std::string("qwen3.") + key, std::string_view(key) == "block_count" ? 2 : 32);
    t.set("qwen3.attention.head_count", 2);
    t.set("qwen3.attention.head_count_kv", 1);
    t.set("qwen3.feed_forward_length", 64);
    t.set_float("qwen3.attention.layer_norm_rms_epsilon", 1e-5F);
  });
  expect_error(without_norms, ErrorCode::kCorrupt, "blk.0.attn_q_norm.weight");
}

TEST(FamiliesTest, sentencepiece_and_its_special_tokens) {
  const auto model = load({.family = "gemma3"});
  const Tokenizer& tokenizer = model->tokenizer();
  const test::TinyVocab vocab = test::sentence_vocab();
  EXPECT_EQ(tokenizer.vocab_size(), vocab.texts.size());
  EXPECT_THAT(tokenizer.tokenize("hello hello"), ElementsAre(vocab.id("hello"), vocab.id("▁hello")))
      << "no space is put before";
  EXPECT_THAT(tokenizer.tokenize("<bos>he<end_of_turn>"),
              ElementsAre(vocab.id("<bos>"), vocab.id("he"), vocab.id("<end_of_turn>")));
  for (const std::string text : {"hello world", " a\n\tb", "Größe 北京 🙂"})
    EXPECT_EQ(tokenizer.detokenize(tokenizer.tokenize(text)), text);
  EXPECT_EQ(tokenizer.token_bytes(vocab.id("▁hello")), " hello");
  EXPECT_EQ(tokenizer.token_bytes(vocab.id("<0xC3>")), "\xC3");
  EXPECT_EQ(tokenizer.split_regex(), "") << "SentencePiece cuts nothing before it merges";
  std::vector<std::string> special;
  for (const auto& [id, text] : tokenizer.special_tokens()) special.push_back(text);
  EXPECT_THAT(special, ::testing::IsSupersetOf({"<bos>", "<eos>", "<end_of_turn>"}));
  EXPECT_THAT(special, Not(::testing::Contains("he")));
  EXPECT_THAT(model->info().stop_tokens, ::testing::IsSupersetOf({"<eos>", "<end_of_turn>"}));
  const std::vector<ChatMessage> messages = {{"user", "hello"}};
  EXPECT_EQ(model->chat_template().render(messages, PromptEnd::kAnswer).value(),
            "<bos><start_of_turn>user\nhello<end_of_turn>\n<start_of_turn>model\n");
}

TEST(FamiliesTest, qwen_tokenizer) {
  const auto model = load({.family = "qwen3"});
  const Tokenizer& tokenizer = model->tokenizer();
  EXPECT_THAT(tokenizer.split_regex(), HasSubstr("(?i:'s|'t"));
  EXPECT_THAT(tokenizer.tokenize("he<|end|>"),
              ElementsAre(test::TinyGguf::kHe, test::TinyGguf::kEnd));
  EXPECT_EQ(tokenizer.detokenize(tokenizer.tokenize("Größe 12\n")), "Größe 12\n");
}

TEST(FamiliesTest, shards_that_are_missing_or_foreign_are_named) {
  test::TempFile file("unused");
  const auto& folder = file.folder();
  const auto shards = test::TinyGguf({.family = "qwen2"}).write_shards(folder, "a", 3);
  const auto model = Model::load(shards[1]);
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ((*model)->info().id, "a");
  std::filesystem::rename(shards[0], folder / "first");
  std::filesystem::rename(shards[2], folder / "last");
  expect_error(Model::load(shards[1]), ErrorCode::kNotFound,
               "got 1 of 3 shards, expected also a-00001-of-00003.gguf, a-00003-of-00003.gguf");
  std::filesystem::copy(shards[1], shards[2]);
  std::filesystem::rename(folder / "first", shards[0]);
  expect_error(Model::load(shards[0]), ErrorCode::kCorrupt, "a-00003-of-00003.gguf");
  std::filesystem::copy(shards[1], folder / "other.gguf");
  expect_error(Model::load(folder / "other.gguf"), ErrorCode::kInvalidArgument, "'other.gguf'");
}

}  // namespace
}  // namespace pie::model
