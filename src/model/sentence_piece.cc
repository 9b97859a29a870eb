#include "model/sentence_piece.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "model/code_points.h"

namespace pie::model {
namespace {

constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581

/// A number that is lower the higher the score.
int64_t order_of(float score) {
  const auto bits = std::bit_cast<int32_t>(score == 0.0F ? 0.0F : score);
  const int64_t ascending = bits < 0 ? -int64_t{bits & 0x7FFFFFFF} : int64_t{bits};
  return -ascending;
}

class SentencePieces final : public PieceTokenizer {
 public:
  explicit SentencePieces(const SentencePiece& rules)
      : rules_(rules), merges_{rules, text_}, merger_(merges_) {}

  void begin(std::string_view piece, After after) override {
    text_.clear();
    if (after == After::kSpecial && rules_.add_space_prefix()) text_ += kSpace;
    for (const char c : piece) {
      if (c == ' ')
        text_ += kSpace;
      else
        text_ += c;
    }
    merger_.clear();
    cut_ = 0;
    given_ = 0;
  }

  bool advance(size_t& work, std::vector<TokenId>& tokens) override {
    for (; cut_ < text_.size(); cut_ += character_size(text_[cut_])) {
      if (work == 0) return false;
      --work;
      merger_.add(static_cast<uint32_t>(cut_), static_cast<uint32_t>(character_size(text_[cut_])),
                  0);
    }
    if (!merger_.advance(work)) return false;
    for (; given_ < merger_.symbols().size(); ++given_) {
      if (work == 0) return false;
      --work;
      const Symbol& symbol = merger_.symbols()[given_];
      if (symbol.size == 0) continue;
      const std::string_view bytes = std::string_view(text_).substr(symbol.begin, symbol.size);
      if (const int32_t token = rules_.token_of(bytes); token >= 0)
        tokens.push_back(static_cast<TokenId>(token));
      else
        rules_.append_bytes(bytes, tokens);
    }
    return true;
  }

 private:
  struct Merges {
    const SentencePiece& rules;
    const std::string& text;
    std::optional<Merge> merge(const Symbol& left, const Symbol& right) const {
      return rules.merge(std::string_view(text).substr(left.begin, left.size + right.size));
    }
  };

  const SentencePiece& rules_;
  std::string text_;
  const Merges merges_;
  PairMerger<Merges> merger_;
  size_t cut_ = 0;    ///< bytes of the text that are symbols
  size_t given_ = 0;  ///< symbols that are tokens
};

}  // namespace

SentencePiece::SentencePiece(std::vector<std::string> vocabulary, std::vector<float> scores,
                             Options options)
    : vocabulary_(std::move(vocabulary)), scores_(std::move(scores)), options_(options) {
  for (size_t id = 0; id < vocabulary_.size(); ++id) {
    ids_.emplace(vocabulary_[id], static_cast<int32_t>(id));
    longest_ = std::max(longest_, vocabulary_[id].size());
  }
  for (int byte = 0; byte < 256; ++byte) {
    int32_t& id = bytes_[static_cast<size_t>(byte)];
    id = token_of(fmt::format("<0x{:02X}>", byte));
    if (id < 0) id = token_of(std::string(1, static_cast<char>(byte)));
    if (id < 0 && options_.unknown) id = static_cast<int32_t>(*options_.unknown);
  }
}

std::unique_ptr<PieceTokenizer> SentencePiece::start() const {
  return std::make_unique<SentencePieces>(*this);
}

int32_t SentencePiece::token_of(std::string_view text) const {
  if (text.size() > longest_) return -1;
  const auto found = ids_.find(text);
  return found == ids_.end() ? -1 : found->second;
}

std::optional<Merge> SentencePiece::merge(std::string_view text) const {
  const int32_t token = token_of(text);
  if (token < 0) return std::nullopt;
  return Merge{order_of(scores_[static_cast<size_t>(token)]), token};
}

void SentencePiece::append_bytes(std::string_view bytes, std::vector<TokenId>& tokens) const {
  for (const char byte : bytes) {
    const int32_t id = bytes_[static_cast<uint8_t>(byte)];
    if (id >= 0) tokens.push_back(static_cast<TokenId>(id));
  }
}

}  // namespace pie::model
