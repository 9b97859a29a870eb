#include "model/llama_tokenizer.h"

#include <fmt/format.h>
#include <llama.h>

#include <algorithm>
#include <optional>
#include <unordered_set>

#include "base/utf8.h"
#include "model/byte_pair.h"
#include "model/ggml_log.h"
#include "model/gguf_file.h"
#include "model/sentence_piece.h"
#include "model/split_regex.h"
#include "model/text_tokenization.h"

namespace pie::model {
namespace {

struct LlamaModelDeleter {
  void operator()(llama_model* model) const { llama_model_free(model); }
};
using LlamaModelPtr = std::unique_ptr<llama_model, LlamaModelDeleter>;

std::string piece_of(const llama_vocab* vocab, llama_token token) {
  std::string piece(32, '\0');
  int32_t length =
      llama_token_to_piece(vocab, token, piece.data(), static_cast<int32_t>(piece.size()), 0, true);
  if (length < 0) {
    piece.resize(static_cast<size_t>(-length));
    length = llama_token_to_piece(vocab, token, piece.data(), static_cast<int32_t>(piece.size()), 0,
                                  true);
  }
  piece.resize(static_cast<size_t>(std::max(length, 0)));
  return piece;
}

/// The tokens that are recognised in text, in libllama's order: longest first, and of one length as
/// its (unstable) sort leaves them.
SpecialTokens special_of(const llama_vocab* vocab) {
  constexpr int kInText =
      LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_USER_DEFINED | LLAMA_TOKEN_ATTR_UNKNOWN;
  std::vector<SpecialToken> tokens;
  for (llama_token id = 0; id < llama_vocab_n_tokens(vocab); ++id) {
    const int attributes = llama_vocab_get_attr(vocab, id);
    if ((attributes & kInText) == 0) continue;
    tokens.push_back({static_cast<TokenId>(id), llama_vocab_get_text(vocab, id),
                      (attributes & LLAMA_TOKEN_ATTR_LSTRIP) != 0,
                      (attributes & LLAMA_TOKEN_ATTR_RSTRIP) != 0});
  }
  std::sort(tokens.begin(), tokens.end(), [](const SpecialToken& a, const SpecialToken& b) {
    return a.text.size() > b.text.size();
  });
  return SpecialTokens(std::move(tokens));
}

/// What a vocabulary of libllama is made of, as this tokenizer needs it.
struct Parts {
  std::unique_ptr<TokenRules> rules;
  std::string split_regex;
};

class LlamaTokenizer final : public Tokenizer {
 public:
  LlamaTokenizer(LlamaModelPtr model, Parts parts)
      : model_(std::move(model)),
        vocab_(llama_model_get_vocab(model_.get())),
        rules_(std::move(parts.rules)),
        split_regex_(std::move(parts.split_regex)),
        special_(special_of(vocab_)) {
    const int32_t count = llama_vocab_n_tokens(vocab_);
    pieces_.reserve(static_cast<size_t>(count));
    for (llama_token id = 0; id < count; ++id) pieces_.push_back(piece_of(vocab_, id));
  }

  std::unique_ptr<Tokenization> start(std::string text) const override {
    return std::make_unique<TextTokenization>(special_, *rules_, std::move(text));
  }

  std::string detokenize(std::span<const TokenId> tokens) const override {
    std::string text;
    for (const TokenId token : tokens) {
      if (token < pieces_.size()) text += pieces_[token];
    }
    return text;
  }

  size_t detokenized_size(std::span<const TokenId> tokens) const override {
    size_t size = 0;
    for (const TokenId token : tokens) {
      if (token < pieces_.size()) size += pieces_[token].size();
    }
    return size;
  }

  uint32_t vocab_size() const override { return static_cast<uint32_t>(pieces_.size()); }

  std::string token_bytes(TokenId token) const override {
    return token < pieces_.size() ? pieces_[token] : std::string();
  }

  std::vector<std::pair<TokenId, std::string>> special_tokens() const override {
    constexpr int kSpecial = LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_USER_DEFINED;
    std::vector<std::pair<TokenId, std::string>> special;
    for (TokenId id = 0; id < pieces_.size(); ++id) {
      const int attributes = llama_vocab_get_attr(vocab_, static_cast<llama_token>(id));
      if ((attributes & kSpecial) != 0) special.emplace_back(id, pieces_[id]);
    }
    return special;
  }

  std::vector<TokenId> control_tokens() const override {
    constexpr int kNoText = LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN;
    std::vector<TokenId> control;
    for (TokenId id = 0; id < pieces_.size(); ++id)
      if ((llama_vocab_get_attr(vocab_, static_cast<llama_token>(id)) & kNoText) != 0)
        control.push_back(id);
    return control;
  }

  const std::string& split_regex() const override { return split_regex_; }

  SpecialIds special_ids() const;

 private:
  LlamaModelPtr model_;
  const llama_vocab* vocab_;
  std::unique_ptr<TokenRules> rules_;
  std::string split_regex_;
  SpecialTokens special_;
  std::vector<std::string> pieces_;
};

SpecialIds LlamaTokenizer::special_ids() const {
  SpecialIds ids;
  const llama_token bos = llama_vocab_bos(vocab_);
  const llama_token eos = llama_vocab_eos(vocab_);
  if (bos >= 0) {
    ids.bos_text = pieces_[static_cast<size_t>(bos)];
    ids.bos = static_cast<TokenId>(bos);
    ids.adds_bos = llama_vocab_get_add_bos(vocab_);
  }
  if (eos >= 0) {
    ids.eos_text = pieces_[static_cast<size_t>(eos)];
    ids.turn_ends.push_back(static_cast<TokenId>(eos));
  }
  // libllama also ends generation at tokens that separate files and repositories; those end no
  // turn.
  const std::unordered_set<llama_token> separators = {
      eos, llama_vocab_fim_rep(vocab_), llama_vocab_fim_sep(vocab_), llama_vocab_fim_pad(vocab_)};
  for (llama_token id = 0; id < static_cast<llama_token>(pieces_.size()); ++id) {
    if (llama_vocab_is_eog(vocab_, id) && !separators.contains(id)) {
      ids.turn_ends.push_back(static_cast<TokenId>(id));
    }
  }
  return ids;
}

/// libllama asserts that token texts differ, and indexes types and scores by token.
Result<void> check_lists(const GgufFile& file) {
  PIE_TRY_ASSIGN(const auto tokens, file.texts("tokenizer.ggml.tokens"));
  constexpr size_t kTokensMax = 1U << 24;
  if (tokens.empty() || tokens.size() > kTokensMax) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("[tokenizer.ggml.tokens] got {} tokens, expected 1 to {}",
                             tokens.size(), kTokensMax)};
  }
  std::unordered_set<std::string> seen;
  for (size_t i = 0; i < tokens.size(); ++i) {
    // An empty text is known to libllama by this name.
    std::string text = tokens[i].empty() ? fmt::format("[EMPTY_{}]", i) : std::string(tokens[i]);
    if (!seen.insert(std::move(text)).second) {
      return Error{ErrorCode::kCorrupt,
                   fmt::format("[tokenizer.ggml.tokens] got the text '{}' of token {} twice, "
                               "expected different texts",
                               to_utf8(tokens[i]), i)};
    }
  }
  for (const char* key : {"tokenizer.ggml.token_type", "tokenizer.ggml.scores"}) {
    PIE_TRY_ASSIGN(const auto count, file.word_count(key));
    if (count && *count < tokens.size()) {
      return Error{ErrorCode::kCorrupt,
                   fmt::format("[{}] got {} elements, expected {}", key, *count, tokens.size())};
    }
  }
  return file.texts("tokenizer.ggml.merges").ok()
             ? Result<void>()
             : Result<void>(file.texts("tokenizer.ggml.merges").error());
}

/// How a served tokenizer merges and cuts, by the file's words and the vocabulary that libllama
/// read.
Result<Parts> make_rules(const GgufFile& file, const llama_vocab* vocab,
                         std::optional<PreTokenizer> pre_tokenizer) {
  std::vector<std::string> texts;
  std::vector<float> scores;
  for (llama_token id = 0; id < llama_vocab_n_tokens(vocab); ++id) {
    texts.emplace_back(llama_vocab_get_text(vocab, id));
    scores.push_back(llama_vocab_get_score(vocab, id));
  }
  if (pre_tokenizer) {
    PIE_TRY_ASSIGN(const auto merges, file.texts("tokenizer.ggml.merges"));
    std::string published = pre_tokenizer->published;
    return Parts{std::make_unique<BytePair>(std::move(*pre_tokenizer), texts, merges),
                 std::move(published)};
  }
  SentencePiece::Options options;
  PIE_TRY_ASSIGN(const std::optional<bool> add_space_prefix,
                 file.flag("tokenizer.ggml.add_space_prefix"));
  options.add_space_prefix = add_space_prefix.value_or(true);
  PIE_TRY_ASSIGN(const uint32_t unknown,
                 file.integer_or("tokenizer.ggml.unknown_token_id", 0, UINT32_MAX, UINT32_MAX));
  if (unknown < texts.size()) options.unknown = unknown;
  return Parts{std::make_unique<SentencePiece>(std::move(texts), std::move(scores), options), ""};
}

/// Of a byte-pair tokenizer; none for SentencePiece, which cuts nothing before merging.
Result<std::optional<PreTokenizer>> check_kind(const GgufFile& file) {
  PIE_TRY_ASSIGN(const std::string kind, file.text("tokenizer.ggml.model"));
  if (kind == "llama") return std::optional<PreTokenizer>();
  if (kind != "gpt2") {
    return Error{ErrorCode::kUnsupported,
                 fmt::format("[tokenizer.ggml.model] got '{}', expected gpt2 or llama", kind)};
  }
  PIE_TRY_ASSIGN(const std::string name, file.text_or("tokenizer.ggml.pre", ""));
  PIE_TRY_ASSIGN(PreTokenizer pre_tokenizer, pre_tokenizer_of(name));
  return std::optional(std::move(pre_tokenizer));
}

}  // namespace

Result<LoadedTokenizer> load_llama_tokenizer(const GgufFile& file) {
  PIE_TRY_ASSIGN(auto pre_tokenizer, check_kind(file));
  PIE_TRY(check_lists(file));
  GgmlErrorCapture said;
  try {
    llama_model_params params = llama_model_default_params();
    params.vocab_only = true;
    LlamaModelPtr model(llama_model_init_from_user(file.context(), nullptr, nullptr, params));
    if (!model) {
      return Error{
          ErrorCode::kCorrupt,
          fmt::format("[tokenizer] got '{}', expected a readable vocabulary", said.text())};
    }
    PIE_TRY_ASSIGN(Parts parts,
                   make_rules(file, llama_model_get_vocab(model.get()), std::move(pre_tokenizer)));
    auto tokenizer = std::make_unique<LlamaTokenizer>(std::move(model), std::move(parts));
    SpecialIds special = tokenizer->special_ids();
    return LoadedTokenizer{std::move(tokenizer), std::move(special)};
  } catch (const std::exception& e) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("[tokenizer] got '{}', expected a readable vocabulary", e.what())};
  }
}

}  // namespace pie::model
