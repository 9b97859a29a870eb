// The tokenizers against libllama's own, text by text, and what a hostile text costs.
#include "model/tokenizer.h"

#include <gtest/gtest.h>
#include <llama.h>

#include <chrono>
#include <random>
#include <set>

#include "model/gguf_file.h"
#include "model/llama_tokenizer.h"
#include "model/model.h"
#include "model/split_regex.h"
#include "support/test_model.h"
#include "support/tiny_gguf.h"

namespace pie::model {
namespace {

using Tokens = std::vector<TokenId>;

/// libllama's tokenizer of a file.
class Reference {
 public:
  explicit Reference(const std::filesystem::path& path) {
    llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
    llama_model_params params = llama_model_default_params();
    params.vocab_only = true;
    model_.reset(llama_model_load_from_file(path.c_str(), params));
  }
  Tokens tokenize(const std::string& text) const {
    const llama_vocab* vocab = llama_model_get_vocab(model_.get());
    std::vector<llama_token> tokens(text.size() * 2 + 8);
    const int32_t count =
        llama_tokenize(vocab, text.data(), static_cast<int32_t>(text.size()), tokens.data(),
                       static_cast<int32_t>(tokens.size()), false, true);
    return {tokens.begin(), tokens.begin() + count};
  }

 private:
  struct Free {
    void operator()(llama_model* model) const { llama_model_free(model); }
  };
  std::unique_ptr<llama_model, Free> model_;
};

std::string utf8(uint32_t c) {
  const auto tail = [&](int shift) { return static_cast<char>(0x80 | ((c >> shift) & 63)); };
  if (c < 0x80) return {static_cast<char>(c)};
  if (c < 0x800) return {static_cast<char>(0xC0 | (c >> 6)), tail(0)};
  if (c < 0x10000) return {static_cast<char>(0xE0 | (c >> 12)), tail(6), tail(0)};
  return {static_cast<char>(0xF0 | (c >> 18)), tail(12), tail(6), tail(0)};
}

/// Texts of what pre-tokenizers tell apart: runs of letters, digits, marks, white space of all
/// kinds, contractions, scripts, what is not assigned, and special tokens whole and cut.
class Texts {
 public:
  Texts(uint32_t seed, std::vector<std::string> special)
      : random_(seed), special_(std::move(special)) {}

  std::string next() {
    std::string text;
    for (size_t pieces = below(24); pieces > 0; --pieces) text += piece();
    return text;
  }

 private:
  size_t below(size_t n) { return random_() % n; }
  const std::string& one_of(const std::vector<std::string>& list) {
    return list[below(list.size())];
  }

  std::string piece() {
    static const std::vector<std::string> kRuns = {
        "he",     "h",  "e",   "hello", "HELLO", "heHe",       "w",      "1",      "42",
        "12345",  "'s", "'S",  "'ll",   "'VE",   "'",          " ",      "  ",     "\n",
        "\r\n",   "\t", "\v",  "!",     "...",   "?!/",        "-",      "_",      "$",
        "=+",     "<|", "[x]", "é",     "É",     "ß",          "中文",   "한국",   "ありがとう",
        "ж",      "ع",  "١٢",  "½",     "Ⅷ",     "e\u0301",    "\u0301", "\u00A0", "\u2028",
        "\u3000", "…",  "。",  "！",    "😀",    "\U00010400", "\u0378", "\uE000", "\u200B",
        "\u00AD", "²",  "ǅ",   "ʰ",     "‘",     "ﬀ"};
    switch (below(8)) {
      case 0: return special_.empty() ? " " : one_of(special_);
      case 1: {
        if (special_.empty()) return "\n";
        const std::string& text = one_of(special_);
        return text.substr(0, below(text.size() + 1));
      }
      case 2: {
        std::string run;
        const std::string& of = one_of(kRuns);
        for (size_t i = below(9); i > 0; --i) run += of;
        return run;
      }
      case 3: {
        const uint32_t c = static_cast<uint32_t>(below(below(2) == 0 ? 0x3000 : 0x11000));
        return c >= 0xD800 && c < 0xE000 ? "?" : c == 0 ? "0" : utf8(c);
      }
      default: return one_of(kRuns);
    }
  }

  std::mt19937 random_;
  std::vector<std::string> special_;
};

void expect_equal(const std::filesystem::path& path, uint32_t seed, int count,
                  const std::string& what) {
  const GgufFile file = GgufFile::open(path).value();
  const LoadedTokenizer ours = load_llama_tokenizer(file).value();
  const Reference reference(path);
  std::vector<std::string> special;
  for (auto& [id, text] : ours.tokenizer->special_tokens()) special.push_back(std::move(text));
  Texts texts(seed, special);
  for (int i = 0; i < count; ++i) {
    const std::string text = texts.next();
    const Tokens expected = reference.tokenize(text);
    ASSERT_EQ(ours.tokenizer->tokenize(text), expected) << what << ": '" << text << "'";
    const auto steps = ours.tokenizer->start(text);
    while (!steps->advance(3)) {
    }
    ASSERT_EQ(steps->take(), expected) << what << ", in small steps: '" << text << "'";
  }
}

/// A byte-pair vocabulary with merges of merges, whole words without one, and special tokens that
/// overlap.
void set_merging_vocab(test::TinyGguf& tiny, uint32_t seed) {
  test::TinyVocab vocab = test::byte_vocab();
  std::mt19937 random(seed);
  std::set<std::string> known(vocab.texts.begin(), vocab.texts.end());
  std::vector<std::string> parts = {"h", "e", "l", "o", "Ġ", "Ċ", "1", "2", ".", "'",
                                    "s", "Ã", "©", "ä", "¸", "Ń", "H", "E", "L", "he"};
  std::vector<std::string> merges = {"h e"};
  while (merges.size() < 400) {
    const std::string left = parts[random() % parts.size()];
    const std::string right = parts[random() % parts.size()];
    merges.push_back(left + " " + right);
    if (random() % 8 == 0) continue;  // a merge whose result is no token
    if (known.insert(left + right).second) vocab.add(left + right);
    parts.push_back(left + right);
  }
  for (const char* word : {"helloHE", "Ġ12345", "...!"})
    if (known.insert(word).second) vocab.add(word);
  for (const char* text : {"<|end|><|user|>", "|><|", "<<", "<|", "\n\n", "\n\n\n", "end|"})
    vocab.add(text, 4);
  vocab.add("<unk>", 2);
  vocab.set_tokens(tiny.gguf());
  std::vector<const char*> pointers;
  for (const std::string& merge : merges) pointers.push_back(merge.c_str());
  gguf_set_arr_str(tiny.gguf(), "tokenizer.ggml.merges", pointers.data(), pointers.size());
}

TEST(TokenizerTest, every_served_pre_tokenizer_gives_libllamas_tokens) {
  uint32_t seed = 1;
  for (const std::string& name : pre_tokenizer_names()) {
    test::TempFile file("tiny.gguf");
    test::TinyGguf tiny;
    set_merging_vocab(tiny, ++seed);
    if (name.empty())
      gguf_remove_key(tiny.gguf(), "tokenizer.ggml.pre");
    else
      tiny.set_text("tokenizer.ggml.pre", name);
    tiny.write(file.path());
    expect_equal(file.path(), seed, 120, name.empty() ? "no tokenizer.ggml.pre" : name);
    if (HasFatalFailure()) return;
  }
}

TEST(TokenizerTest, sentence_pieces_are_libllamas) {
  for (uint32_t seed = 1; seed < 9; ++seed) {
    test::TempFile file("tiny.gguf");
    test::TinyGguf tiny({.family = "gemma2"});
    test::TinyVocab vocab = test::sentence_vocab();
    std::mt19937 random(seed);
    std::set<std::string> known(vocab.texts.begin(), vocab.texts.end());
    std::vector<std::string> parts = {"h", "e", "l", "o", "▁", "w", "1", "é", "中", "\n", "."};
    while (parts.size() < 200) {
      std::string both = parts[random() % parts.size()] + parts[random() % parts.size()];
      // Scores that collide: then the leftmost goes first.
      if (known.insert(both).second) vocab.add(both, 1, -static_cast<float>(random() % 20));
      parts.push_back(std::move(both));
    }
    for (const char* text : {"\n\n", "\n\n\n", "<table>", "<start_of_turn>user"})
      if (known.insert(text).second) vocab.add(text, 4);
    test::set_sentence_vocab(tiny.gguf(), vocab);
    gguf_set_val_bool(tiny.gguf(), "tokenizer.ggml.add_space_prefix", seed % 2 == 0);
    // "phi-3" in the name: white space after special tokens goes with them.
    if (seed % 4 == 3) tiny.set_text("general.name", "like Phi-3");
    if (seed % 4 == 3) vocab.add("</s>", 3), vocab.add("<s>", 3), vocab.add("<|endoftext|>", 3);
    test::set_sentence_vocab(tiny.gguf(), vocab);
    gguf_set_val_bool(tiny.gguf(), "tokenizer.ggml.add_space_prefix", seed % 2 == 0);
    tiny.write(file.path());
    expect_equal(file.path(), seed, 400, "SentencePiece " + std::to_string(seed));
    if (HasFatalFailure()) return;
  }
}

TEST(TokenizerTest, the_default_model_gives_libllamas_tokens) {
  expect_equal(test::model_path(), 7, 1500, "the default model");
}

double seconds_of(const Tokenizer& tokenizer, const std::string& text) {
  const auto begin = std::chrono::steady_clock::now();
  const Tokens tokens = tokenizer.tokenize(text);
  EXPECT_FALSE(tokens.empty());
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

std::string times(const std::string& text, size_t bytes) {
  std::string out;
  while (out.size() < bytes) out += text;
  return out;
}

// The longest texts that a program may give, of the kinds that were quadratic (16 s and more) or
// overflowed the stack: each takes a fraction of a second here, and 5 s on a slow day.
TEST(TokenizerTest, a_long_text_of_any_kind_takes_linear_time) {
  constexpr size_t kBytes = 1 << 20;
  const auto model = Model::load(test::model_path()).value();
  for (const char* unit : {"<|im_end|>", "x<|im_end|>", "!", "a", "\n", " ", "é", "ab ", "<|im_"})
    EXPECT_LT(seconds_of(model->tokenizer(), times(unit, kBytes)), 5.0) << unit;
  for (const char* pre : {"", "tekken", "deepseek-llm", "falcon", "gpt-4o"}) {
    test::TempFile file("tiny.gguf");
    test::TinyGguf tiny;
    set_merging_vocab(tiny, 3);
    if (*pre == '\0')
      gguf_remove_key(tiny.gguf(), "tokenizer.ggml.pre");
    else
      tiny.set_text("tokenizer.ggml.pre", pre);
    tiny.write(file.path());
    const GgufFile opened = GgufFile::open(file.path()).value();
    const LoadedTokenizer loaded = load_llama_tokenizer(opened).value();
    for (const char* unit : {"!", "he", "\n", " ", "1", "\n\n\n<|end|>"})
      EXPECT_LT(seconds_of(*loaded.tokenizer, times(unit, kBytes)), 5.0) << pre << " " << unit;
  }
  const test::TinyShape gemma = {.family = "gemma2"};
  test::TempFile file("tiny.gguf");
  test::TinyGguf(gemma).write(file.path());
  const auto tiny = Model::load(file.path()).value();
  for (const char* unit : {"\n", "hello", "中", "a", "<bos>", "<bos>\n"})
    EXPECT_LT(seconds_of(tiny->tokenizer(), times(unit, kBytes)), 5.0) << unit;
}

}  // namespace
}  // namespace pie::model
