#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/strong_id.h"

namespace pie::model {

/// The model file's tokenizer (llama.cpp's implementation). Thread-safe, never throws.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  /// Token ids of a text. Special tokens written in the text are recognised; no BOS is added.
  virtual std::vector<TokenId> tokenize(std::string_view text) const = 0;
  /// The bytes of the tokens; they need not be UTF-8. Ids outside the vocabulary give nothing.
  virtual std::string detokenize(std::span<const TokenId> tokens) const = 0;
  virtual uint32_t vocab_size() const = 0;
  /// The bytes that one token stands for.
  virtual std::string token_bytes(TokenId token) const = 0;
  /// Control and user-defined tokens, with their texts.
  virtual std::vector<std::pair<TokenId, std::string>> special_tokens() const = 0;
  /// The regular expression by which text is cut before merging (get-split-regex of the ABI).
  virtual const std::string& split_regex() const = 0;
};

}  // namespace pie::model
