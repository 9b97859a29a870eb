#include "model/llama_tokenizer.h"

#include <fmt/format.h>
#include <llama.h>

#include <limits>
#include <unordered_set>

#include "base/log.h"
#include "base/utf8.h"
#include "model/ggml_log.h"
#include "model/gguf_file.h"
#include "model/split_regex.h"

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

class LlamaTokenizer final : public Tokenizer {
 public:
  LlamaTokenizer(LlamaModelPtr model, std::string split_regex)
      : model_(std::move(model)),
        vocab_(llama_model_get_vocab(model_.get())),
        split_regex_(std::move(split_regex)) {
    const int32_t count = llama_vocab_n_tokens(vocab_);
    pieces_.reserve(static_cast<size_t>(count));
    for (llama_token id = 0; id < count; ++id) pieces_.push_back(piece_of(vocab_, id));
  }

  std::vector<TokenId> tokenize(std::string_view text) const override {
    try {
      std::string replaced;
      if (!is_utf8(text)) text = replaced = to_utf8(text);
      return tokenize_utf8(text);
    } catch (const std::exception& e) {
      log::warning("tokenizer: {} bytes of text gave no tokens: {}", text.size(), e.what());
      return {};
    }
  }

  std::string detokenize(std::span<const TokenId> tokens) const override {
    std::string text;
    for (const TokenId token : tokens) {
      if (token < pieces_.size()) text += pieces_[token];
    }
    return text;
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

  const std::string& split_regex() const override { return split_regex_; }

  SpecialIds special_ids() const;

 private:
  std::vector<TokenId> tokenize_utf8(std::string_view text) const;

  LlamaModelPtr model_;
  const llama_vocab* vocab_;
  std::string split_regex_;
  std::vector<std::string> pieces_;
};

std::vector<TokenId> LlamaTokenizer::tokenize_utf8(std::string_view text) const {
  if (text.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max() / 2)) {
    log::warning("tokenizer: a text of {} bytes is longer than libllama takes", text.size());
    return {};
  }
  const auto length = static_cast<int32_t>(text.size());
  // A token stands for a byte or more, but for a prefix that SentencePiece adds.
  std::vector<llama_token> tokens(text.size() + 8);
  int32_t count = llama_tokenize(vocab_, text.data(), length, tokens.data(),
                                 static_cast<int32_t>(tokens.size()), false, true);
  if (count < 0) {
    tokens.resize(static_cast<size_t>(-count));
    count = llama_tokenize(vocab_, text.data(), length, tokens.data(),
                           static_cast<int32_t>(tokens.size()), false, true);
  }
  if (count < 0) return {};
  return {tokens.begin(), tokens.begin() + count};
}

SpecialIds LlamaTokenizer::special_ids() const {
  SpecialIds ids;
  const llama_token bos = llama_vocab_bos(vocab_);
  const llama_token eos = llama_vocab_eos(vocab_);
  if (bos >= 0) ids.bos_text = pieces_[static_cast<size_t>(bos)];
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

/// The split expression of a served tokenizer.
Result<std::string> check_kind(const GgufFile& file) {
  PIE_TRY_ASSIGN(const std::string kind, file.text("tokenizer.ggml.model"));
  if (kind == "llama") return std::string();  // SentencePiece cuts nothing before merging
  if (kind != "gpt2") {
    return Error{ErrorCode::kUnsupported,
                 fmt::format("[tokenizer.ggml.model] got '{}', expected gpt2 or llama", kind)};
  }
  PIE_TRY_ASSIGN(const std::string pre, file.text_or("tokenizer.ggml.pre", "gpt-2"));
  return split_regex_of(pre);
}

}  // namespace

Result<LoadedTokenizer> load_llama_tokenizer(const GgufFile& file) {
  PIE_TRY_ASSIGN(std::string split_regex, check_kind(file));
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
    auto tokenizer = std::make_unique<LlamaTokenizer>(std::move(model), std::move(split_regex));
    SpecialIds special = tokenizer->special_ids();
    return LoadedTokenizer{std::move(tokenizer), std::move(special)};
  } catch (const std::exception& e) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("[tokenizer] got '{}', expected a readable vocabulary", e.what())};
  }
}

}  // namespace pie::model
