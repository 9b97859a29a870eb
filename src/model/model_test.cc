#include "model/model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <thread>

#include "model/architecture.h"
#include "model/chat_template.h"
#include "model/tokenizer.h"
#include "model/weights.h"
#include "support/test_model.h"
#include "support/tiny_gguf.h"

namespace pie::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const Model& default_model() {
  static const std::shared_ptr<const Model> model = Model::load(test::model_path()).value();
  return *model;
}

/// Loads what `change` made of a good tiny model.
template <class Change>
Result<std::shared_ptr<const Model>> load_changed(Change change,
                                                  const test::TinyShape& shape = {}) {
  test::TempFile file("tiny.gguf");
  test::TinyGguf tiny(shape);
  change(tiny);
  tiny.write(file.path());
  return Model::load(file.path());
}

void expect_error(const Result<std::shared_ptr<const Model>>& result, ErrorCode code,
                  const std::string& words) {
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, code) << result.error().message;
  EXPECT_THAT(result.error().message, HasSubstr(words));
  EXPECT_THAT(result.error().message, HasSubstr(".gguf")) << "names the file";
}

TEST(ModelTest, default_model_describes_itself) {
  const ModelInfo& info = default_model().info();
  EXPECT_EQ(info.id, "smollm2-135m-instruct");
  EXPECT_EQ(info.vocab_size, 49152U);
  EXPECT_EQ(info.embedding_size, 576U);
  EXPECT_EQ(info.layer_count, 30U);
  EXPECT_EQ(info.context_length, 8192U);
  EXPECT_THAT(info.traits, ElementsAre("input_text", "output_text", "tokenize"));
  ASSERT_FALSE(info.stop_tokens.empty());
  EXPECT_EQ(info.stop_tokens[0], "<|im_end|>");
  EXPECT_EQ(info.stop_token_ids[0], 2U);
  EXPECT_THAT(info.stop_tokens, ::testing::Contains("<|endoftext|>"));
  EXPECT_THAT(info.stop_tokens, ::testing::Not(::testing::Contains("<repo_name>")));
  EXPECT_THAT(info.description, HasSubstr("134.5M parameters"));
  EXPECT_THAT(info.description, HasSubstr("Q4_1"));
}

TEST(ModelTest, architecture_of_the_default_model) {
  const Architecture& a = default_model().architecture();
  EXPECT_EQ(a.family, "llama");
  EXPECT_EQ(a.head_count, 9U);
  EXPECT_EQ(a.kv_head_count, 3U);
  EXPECT_EQ(a.key_size, 64U);
  EXPECT_EQ(a.ffn_size, 1536U);
  EXPECT_EQ(a.rope.kind, RopeKind::kPairs);
  EXPECT_FLOAT_EQ(a.rope.base, 100000.0F);
  EXPECT_FLOAT_EQ(a.attention_scale, 0.125F);
  EXPECT_TRUE(a.has_tied_output);
  EXPECT_FALSE(a.has_qkv_bias);
}

TEST(ModelTest, weights_by_role_and_layer) {
  const Weights& weights = default_model().weights();
  const Tensor& embedding = weights.get(TensorRole::kTokenEmbedding);
  EXPECT_THAT(embedding.shape, ElementsAre(49152, 576));
  EXPECT_EQ(embedding.data.size, 49152U * 576 / 32 * 34);  // Q8_0: 34 bytes for 32 elements
  EXPECT_EQ(weights.get(TensorRole::kOutput).data.offset, embedding.data.offset);
  EXPECT_THAT(weights.get(TensorRole::kFfnDown, 29).shape, ElementsAre(576, 1536));
  EXPECT_EQ(weights.find(TensorRole::kFfnDown, 30), nullptr);
  EXPECT_EQ(weights.find(TensorRole::kQueryBias, 0), nullptr);
}

TEST(ModelTest, tokenizer_round_trips_any_text) {
  const Tokenizer& tokenizer = default_model().tokenizer();
  EXPECT_EQ(tokenizer.vocab_size(), 49152U);
  for (const std::string text :
       {"Hello, world!", "  two  spaces\n\n\ttabs", "Größe, naïveté, 北京, Привет, 🙂🙃",
        "for (int i = 0; i < 10; ++i) { x[i] += 3.14159e-7; }", "1234567890", " "}) {
    EXPECT_EQ(tokenizer.detokenize(tokenizer.tokenize(text)), text);
  }
  EXPECT_THAT(tokenizer.tokenize(""), IsEmpty());
  EXPECT_EQ(tokenizer.tokenize("12").size(), 2U) << "digits are cut one by one";
}

TEST(ModelTest, tokenizer_recognises_special_tokens_and_adds_none) {
  const Tokenizer& tokenizer = default_model().tokenizer();
  EXPECT_THAT(tokenizer.tokenize("<|im_start|><|im_end|>"), ElementsAre(1, 2));
  const std::vector<TokenId> plain = tokenizer.tokenize("Hello");
  EXPECT_THAT(plain, ::testing::Not(::testing::Contains(1U))) << "no BOS";
  bool has_turn_end = false;
  for (const auto& [id, text] : tokenizer.special_tokens()) {
    has_turn_end = has_turn_end || (id == 2 && text == "<|im_end|>");
  }
  EXPECT_TRUE(has_turn_end);
  EXPECT_EQ(tokenizer.token_bytes(2), "<|im_end|>");
  EXPECT_THAT(tokenizer.split_regex(), HasSubstr("\\p{L}+"));
}

TEST(ModelTest, tokenizer_survives_odd_input) {
  const Tokenizer& tokenizer = default_model().tokenizer();
  EXPECT_EQ(tokenizer.detokenize(tokenizer.tokenize("a\xFF\xC3(")), "a\xEF\xBF\xBD\xEF\xBF\xBD(");
  EXPECT_EQ(tokenizer.detokenize(std::vector<TokenId>{1U << 31, 49152, UINT32_MAX}), "");
  EXPECT_EQ(tokenizer.token_bytes(49152), "");
  for (const char* unit : {"7", "a", " ", "\n", "é", "<|im_start|>", ".", "'s"}) {
    std::string text;
    while (text.size() < 200'000) text += unit;
    EXPECT_EQ(tokenizer.detokenize(tokenizer.tokenize(text)), text) << "200 kB of '" << unit << "'";
  }
}

TEST(ModelTest, tokenizer_is_thread_safe) {
  const Tokenizer& tokenizer = default_model().tokenizer();
  const std::string text = "The quick brown fox jumps over 13 lazy dogs; Äpfel & Öl.";
  const std::vector<TokenId> expected = tokenizer.tokenize(text);
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 200; ++round) wrong += tokenizer.tokenize(text) != expected;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(ModelTest, chat_template_of_the_default_model) {
  const ChatTemplate& chat = default_model().chat_template();
  EXPECT_THAT(chat.source(), HasSubstr("<|im_start|>"));
  const std::vector<ChatMessage> messages = {{"system", "Be brief."}, {"user", "Hi {{ 1 }}"}};
  EXPECT_EQ(chat.render(messages, PromptEnd::kAnswer).value(),
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi {{ 1 }}<|im_end|>\n"
            "<|im_start|>assistant\n");
  EXPECT_EQ(chat.render(std::vector<ChatMessage>{{"system", "S"}}, PromptEnd::kNothing).value(),
            "<|im_start|>system\nS<|im_end|>\n");
  EXPECT_EQ(chat.render({}, PromptEnd::kNothing).value(), "");
}

TEST(ModelTest, chat_template_that_refuses_or_fails_says_so) {
  const auto with_template = [](const char* source) {
    return load_changed([&](test::TinyGguf& tiny) {
             if (source == nullptr) {
               gguf_remove_key(tiny.gguf(), "tokenizer.chat_template");
             } else {
               gguf_set_val_str(tiny.gguf(), "tokenizer.chat_template", source);
             }
           })
        .value();
  };
  const std::vector<ChatMessage> user = {{"user", "hello"}};
  const auto refused = with_template("{{ raise_exception('roles must alternate') }}")
                           ->chat_template()
                           .render(user, PromptEnd::kAnswer);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(refused.error().message, HasSubstr("roles must alternate"));
  const auto broken = with_template("{% for %}")->chat_template().render(user, PromptEnd::kAnswer);
  ASSERT_FALSE(broken.ok());
  EXPECT_EQ(broken.error().code, ErrorCode::kUnsupported);
  const auto none = with_template(nullptr);
  EXPECT_EQ(none->chat_template().source(), "");
  EXPECT_EQ(none->chat_template().render(user, PromptEnd::kAnswer).error().code,
            ErrorCode::kFailedPrecondition);
  const auto typed = with_template("{% for m in messages %}{{ m.content[0].text }}{% endfor %}");
  EXPECT_EQ(typed->chat_template().render(user, PromptEnd::kAnswer).value(), "hello");
}

TEST(ModelTest, tiny_model_loads) {
  const auto model = load_changed([](test::TinyGguf&) {});
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ((*model)->info().id, "tiny");
  EXPECT_THAT((*model)->info().stop_tokens, ElementsAre("<|end|>"));
  EXPECT_THAT((*model)->tokenizer().tokenize("he<|end|>"),
              ElementsAre(test::TinyGguf::kHe, test::TinyGguf::kEnd));
}

TEST(ModelTest, missing_or_foreign_file) {
  const auto missing = Model::load("/nonexistent/model.gguf");
  expect_error(missing, ErrorCode::kNotFound, "No such file");
  test::TempFile file("other.gguf");
  std::ofstream(file.path()) << "PK\x03\x04 this is a zip file";
  expect_error(Model::load(file.path()), ErrorCode::kCorrupt, "expected 'GGUF'");
  std::ofstream(file.path(), std::ios::trunc).flush();
  expect_error(Model::load(file.path()), ErrorCode::kCorrupt, "empty file");
  EXPECT_EQ(Model::load(file.path().parent_path()).error().code, ErrorCode::kInvalidArgument);
}

TEST(ModelTest, cut_off_at_any_length_is_an_error) {
  test::TempFile file("cut.gguf");
  test::TinyGguf tiny;
  tiny.write(file.path());
  std::ifstream in(file.path(), std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(in), {}};
  for (size_t length = 1; length < whole.size(); length += 1 + length / 40) {
    std::ofstream(file.path(), std::ios::binary | std::ios::trunc)
        .write(whole.data(), static_cast<std::streamsize>(length));
    const auto model = Model::load(file.path());
    ASSERT_FALSE(model.ok()) << length << " of " << whole.size() << " bytes";
    EXPECT_EQ(model.error().code, ErrorCode::kCorrupt) << model.error().message;
  }
}

TEST(ModelTest, flipped_bytes_never_abort) {
  test::TempFile file("flip.gguf");
  test::TinyGguf tiny;
  tiny.write(file.path());
  std::ifstream in(file.path(), std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(in), {}};
  const size_t header = gguf_get_meta_size(tiny.gguf());
  std::mt19937 random(11);
  int refused = 0;
  for (int round = 0; round < 400; ++round) {
    std::string bytes = whole;
    for (int flips = 0; flips < 1 + round % 3; ++flips) {
      bytes[random() % header] = static_cast<char>(random());
    }
    std::ofstream(file.path(), std::ios::binary | std::ios::trunc) << bytes;
    const auto model = Model::load(file.path());
    refused += !model.ok();
    if (model.ok()) (*model)->tokenizer().tokenize("hello <|end|> 12");
  }
  EXPECT_GT(refused, 50);
}

TEST(ModelTest, metadata_that_cannot_be_is_named) {
  const auto expect_set = [](const char* key, int64_t value, ErrorCode code) {
    SCOPED_TRACE(key);
    const auto model = load_changed([&](test::TinyGguf& tiny) { tiny.set(key, value); });
    expect_error(model, code, key);
  };
  expect_set("llama.block_count", 0, ErrorCode::kCorrupt);
  expect_set("llama.attention.head_count", 0, ErrorCode::kCorrupt);
  expect_set("llama.attention.head_count_kv", 3, ErrorCode::kCorrupt);
  expect_set("llama.rope.dimension_count", 17, ErrorCode::kCorrupt);
  expect_set("llama.rope.dimension_count", 7, ErrorCode::kCorrupt);
  expect_set("llama.expert_count", 8, ErrorCode::kUnsupported);
  expect_set("split.count", 2, ErrorCode::kInvalidArgument);
  expect_set("llama.attention.layer_norm_rms_epsilon", 1, ErrorCode::kCorrupt);
  for (const char* key : {"general.architecture", "llama.block_count", "llama.embedding_length",
                          "tokenizer.ggml.model", "tokenizer.ggml.tokens"}) {
    SCOPED_TRACE(key);
    const auto model =
        load_changed([&](test::TinyGguf& tiny) { gguf_remove_key(tiny.gguf(), key); });
    expect_error(model, ErrorCode::kCorrupt, key);
  }
}

TEST(ModelTest, what_is_not_served_is_named) {
  const auto expect_text = [](const char* key, const char* value) {
    const auto model =
        load_changed([&](test::TinyGguf& tiny) { gguf_set_val_str(tiny.gguf(), key, value); });
    expect_error(model, ErrorCode::kUnsupported, value);
    EXPECT_THAT(model.error().message, HasSubstr(key));
  };
  expect_text("general.architecture", "mamba");
  expect_text("tokenizer.ggml.model", "rwkv");
  expect_text("tokenizer.ggml.pre", "kimi-k2");
  expect_text("llama.rope.scaling.type", "longrope");
}

/// Writes a tiny model whose tensors begin `alignment` bytes behind a multiple of 32: ggml writes
/// files that are aligned to 32 alone, so the room before the tensors is cut out.
void write_aligned_to(uint32_t alignment, const std::filesystem::path& path) {
  test::TinyGguf tiny;
  tiny.set("general.alignment", alignment);
  std::string filler;
  tiny.set_text("filler", filler);
  const size_t before = gguf_get_meta_size(tiny.gguf());
  while (gguf_get_meta_size(tiny.gguf()) == before) tiny.set_text("filler", filler += 'x');
  // Here the header needs `before` bytes and one.
  tiny.set_text("filler", filler.append(alignment - 1, 'x'));
  tiny.write(path);
  std::ifstream in(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  bytes.erase(before + alignment, 32 - alignment);
  std::ofstream(path, std::ios::binary) << bytes;
}

TEST(ModelTest, any_alignment_is_served) {
  const auto plain = load_changed([](test::TinyGguf&) {}).value();
  for (const uint32_t alignment : {1U, 2U, 4U, 8U, 16U}) {
    test::TempFile file("tiny.gguf");
    write_aligned_to(alignment, file.path());
    const auto model = Model::load(file.path());
    ASSERT_TRUE(model.ok()) << alignment << ": " << model.error().message;
    for (const auto& [key, tensor] : (*model)->weights().all()) {
      const Mapping read = tensor.data.load().value();
      const Mapping expected = plain->weights().all().at(key).data.load().value();
      ASSERT_EQ(read.size(), expected.size());
      EXPECT_EQ(std::memcmp(read.get(), expected.get(), read.size()), 0)
          << alignment << ": " << tensor.name;
    }
  }
}

TEST(ModelTest, versions_that_are_not_served_are_named) {
  test::TempFile file("tiny.gguf");
  test::TinyGguf().write(file.path());
  const auto with_version = [&](const std::string& bytes) {
    std::fstream stream(file.path(), std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(4).write(bytes.data(), 4);
    stream.close();
    return Model::load(file.path());
  };
  expect_error(with_version({1, 0, 0, 0}), ErrorCode::kUnsupported, "got GGUF version 1");
  expect_error(with_version({4, 0, 0, 0}), ErrorCode::kUnsupported, "got GGUF version 4");
  expect_error(with_version({0, 0, 0, 3}), ErrorCode::kUnsupported, "got a big-endian file");
  EXPECT_TRUE(with_version({3, 0, 0, 0}).ok());
}

TEST(ModelTest, tensors_that_do_not_fit_are_named) {
  const auto too_deep =
      load_changed([](test::TinyGguf& tiny) { tiny.set("llama.block_count", 3); });
  expect_error(too_deep, ErrorCode::kCorrupt, "blk.2.attn_norm.weight");
  const auto too_wide =
      load_changed([](test::TinyGguf& tiny) { tiny.set("llama.feed_forward_length", 96); });
  expect_error(too_wide, ErrorCode::kCorrupt, "got shape [64, 32], expected [96, 32]");
  const auto unknown = load_changed(
      [](test::TinyGguf& tiny) { tiny.add("blk.1.ffn_up.bias", GGML_TYPE_F32, {64}, 1.0F); });
  expect_error(unknown, ErrorCode::kUnsupported, "[blk.1.ffn_up.bias]");
  const auto odd_type =
      load_changed([](test::TinyGguf&) {}, {.embedding = 32, .matrix_type = GGML_TYPE_I32});
  expect_error(odd_type, ErrorCode::kUnsupported, "got type i32");
}

TEST(ModelTest, vocabulary_that_does_not_fit_is_an_error) {
  const auto with_tokens = [](std::vector<const char*> texts) {
    return load_changed([&](test::TinyGguf& tiny) {
      gguf_set_arr_str(tiny.gguf(), "tokenizer.ggml.tokens", texts.data(), texts.size());
    });
  };
  expect_error(with_tokens({"a", "b", "a"}), ErrorCode::kCorrupt, "twice");
  expect_error(with_tokens({"", "[EMPTY_0]"}), ErrorCode::kCorrupt, "twice");
  std::vector<std::string> many;
  for (int i = 0; i < 300; ++i) many.push_back(std::string("t").append(std::to_string(i)));
  std::vector<const char*> pointers;
  for (const std::string& text : many) pointers.push_back(text.c_str());
  expect_error(with_tokens(pointers), ErrorCode::kCorrupt, "expected 300");  // token_type has 260
  const auto without_merges = load_changed(
      [](test::TinyGguf& tiny) { gguf_remove_key(tiny.gguf(), "tokenizer.ggml.merges"); });
  expect_error(without_merges, ErrorCode::kCorrupt, "merges");
}

}  // namespace
}  // namespace pie::model
