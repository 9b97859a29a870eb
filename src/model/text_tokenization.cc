#include "model/text_tokenization.h"

#include <algorithm>
#include <limits>

#include "base/utf8.h"

namespace pie::model {

std::vector<TokenId> Tokenizer::tokenize(std::string_view text) const {
  const std::unique_ptr<Tokenization> tokenization = start(std::string(text));
  while (!tokenization->advance(std::numeric_limits<size_t>::max())) {
  }
  return tokenization->take();
}

TextTokenization::TextTokenization(const SpecialTokens& special, const TokenRules& rules,
                                   std::string text)
    : special_(special),
      pieces_(rules.start()),
      text_(is_utf8(text) ? std::move(text) : to_utf8(text)) {}

bool TextTokenization::advance(size_t work) {
  if (!is_searched_) {
    found_ = special_.find(text_);
    is_searched_ = true;
    work -= std::min(work, text_.size() / 8);  // a look at each byte
  }
  for (;;) {
    if (in_piece_ && !pieces_->advance(work, tokens_)) return false;
    in_piece_ = false;
    if (!begin_piece()) return true;
  }
}

/// Takes the special tokens that come next, and begins with the text after them. Whether there is
/// some.
bool TextTokenization::begin_piece() {
  while (next_found_ < found_.size() && found_[next_found_].begin == at_) {
    at_ = found_[next_found_].end;
    tokens_.push_back(found_[next_found_++].id);
    after_ = PieceTokenizer::After::kSpecial;
  }
  const size_t end = next_found_ < found_.size() ? found_[next_found_].begin : text_.size();
  if (at_ == end) return false;
  pieces_->begin(std::string_view(text_).substr(at_, end - at_), after_);
  at_ = end;
  after_ = PieceTokenizer::After::kText;
  in_piece_ = true;
  return true;
}

}  // namespace pie::model
