#pragma once
#include <memory>
#include <string>
#include <vector>

#include "model/piece_tokenizer.h"
#include "model/special_tokens.h"
#include "model/tokenizer.h"

namespace pie::model {

/// Finds the special tokens in a text and tokenizes what is between by the rules.
class TextTokenization final : public Tokenization {
 public:
  /// `special` and `rules` outlive it; a text that is not UTF-8 is mended.
  TextTokenization(const SpecialTokens& special, const TokenRules& rules, std::string text);

  bool advance(size_t work) override;
  std::vector<TokenId> take() override { return std::move(tokens_); }

 private:
  bool begin_piece();

  const SpecialTokens& special_;
  const std::unique_ptr<PieceTokenizer> pieces_;
  std::string text_;
  std::vector<SpecialTokens::Found> found_;
  size_t next_found_ = 0;
  size_t at_ = 0;  ///< bytes that are done or begun
  bool is_searched_ = false;
  bool in_piece_ = false;
  PieceTokenizer::After after_ = PieceTokenizer::After::kSpecial;
  std::vector<TokenId> tokens_;
};

}  // namespace pie::model
