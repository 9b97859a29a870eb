#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/strong_id.h"

namespace pie::model {

/// A text on its way to tokens, worked on in steps: any thread, one at a time. Its tokenizer
/// outlives it.
class Tokenization {
 public:
  virtual ~Tokenization() = default;
  /// Does up to about `work` units, each about a character or a tenth of a microsecond; a single
  /// long word is found in one step. Whether it is done.
  virtual bool advance(size_t work) = 0;
  /// The tokens, once it is done.
  virtual std::vector<TokenId> take() = 0;
};

/// The model file's tokenizer: llama.cpp's tokens, in time linear in the text (n log n in a single
/// long word). Thread-safe, never throws but for want of memory.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  /// Begins with a text. Special tokens written in it are recognised; no BOS is added.
  virtual std::unique_ptr<Tokenization> start(std::string text) const = 0;
  /// All at once: for texts that are not long.
  std::vector<TokenId> tokenize(std::string_view text) const;
  /// The bytes of the tokens; they need not be UTF-8. Ids outside the vocabulary give nothing.
  virtual std::string detokenize(std::span<const TokenId> tokens) const = 0;
  /// How many bytes detokenize() would give.
  virtual size_t detokenized_size(std::span<const TokenId> tokens) const = 0;
  virtual uint32_t vocab_size() const = 0;
  /// The bytes that one token stands for.
  virtual std::string token_bytes(TokenId token) const = 0;
  /// Control and user-defined tokens, with their texts.
  virtual std::vector<std::pair<TokenId, std::string>> special_tokens() const = 0;
  /// Those that stand for no text: control tokens and the unknown one.
  virtual std::vector<TokenId> control_tokens() const = 0;
  /// The regular expression by which text is cut before merging (get-split-regex of the ABI); ""
  /// where nothing is cut, or not by one expression.
  virtual const std::string& split_regex() const = 0;
};

}  // namespace pie::model
