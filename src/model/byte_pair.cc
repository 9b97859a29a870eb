#include "model/byte_pair.h"

#include <algorithm>

#include "model/word_splitter.h"

namespace pie::model {
namespace {

/// GPT-2's printable characters for bytes (Radford et al., 2019, section 2.2).
std::array<std::string, 256> make_byte_texts() {
  std::array<std::string, 256> texts;
  uint32_t next = 256;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const bool is_printable =
        (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    const uint32_t code = is_printable ? byte : next++;
    if (code < 0x80) {
      texts[byte] = static_cast<char>(code);
    } else {
      texts[byte] = {static_cast<char>(0xC0 | (code >> 6)), static_cast<char>(0x80 | (code & 63))};
    }
  }
  return texts;
}

const std::string& byte_text(char byte) {
  static const std::array<std::string, 256> kTexts = make_byte_texts();
  return kTexts[static_cast<uint8_t>(byte)];
}

uint64_t pair_key(int32_t left, int32_t right) {
  return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
}

class BytePairPieces final : public PieceTokenizer {
 public:
  explicit BytePairPieces(const BytePair& rules)
      : rules_(rules), splitter_(rules.pre_tokenizer().steps), merger_(rules) {}

  void begin(std::string_view piece, After) override {
    piece_ = piece;
    splitter_.begin(piece);
  }

  bool advance(size_t& work, std::vector<TokenId>& tokens) override {
    for (;;) {
      if (in_word_) {
        if (!merger_.advance(work)) return false;
        for (const Symbol& symbol : merger_.symbols())
          if (symbol.size != 0)
            rules_.append(piece_.substr(symbol.begin, symbol.size), symbol.atom, tokens);
        in_word_ = false;
      }
      if (work == 0) return false;
      const auto word = splitter_.next();
      if (!word) return true;
      work -= std::min(work, word->end - word->begin);
      if (const auto token =
              rules_.whole_word(piece_.substr(word->begin, word->end - word->begin))) {
        tokens.push_back(*token);
        continue;
      }
      merger_.clear();
      for (size_t at = word->begin; at < word->end; ++at)
        merger_.add(static_cast<uint32_t>(at), 1, rules_.byte_atom(piece_[at]));
      in_word_ = true;
    }
  }

 private:
  const BytePair& rules_;
  std::string_view piece_;
  WordSplitter splitter_;
  PairMerger<BytePair> merger_;
  bool in_word_ = false;
};

}  // namespace

BytePair::BytePair(PreTokenizer pre_tokenizer, const std::vector<std::string>& vocabulary,
                   const std::vector<std::string_view>& merges)
    : pre_tokenizer_(std::move(pre_tokenizer)), token_count_(vocabulary.size()) {
  for (const std::string& text : vocabulary) {
    longest_token_ = std::max(longest_token_, text.size());
    intern(text);
  }
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const std::string_view row = merges[rank];
    const size_t space = row.find(' ', 1);
    if (space == std::string_view::npos) continue;
    const int32_t left = intern(std::string(row.substr(0, space)));
    const int32_t right = intern(std::string(row.substr(space + 1)));
    const int32_t both = intern(std::string(row.substr(0, space)).append(row.substr(space + 1)));
    merges_.try_emplace(pair_key(left, right), Merge{static_cast<int64_t>(rank), both});
  }
  for (int byte = 0; byte < 256; ++byte) {
    const auto found = atoms_.find(byte_text(static_cast<char>(byte)));
    byte_atoms_[static_cast<size_t>(byte)] = found == atoms_.end() ? -1 : found->second;
  }
}

int32_t BytePair::intern(std::string text) {
  if (const auto found = atoms_.find(text); found != atoms_.end()) return found->second;
  const auto atom = static_cast<int32_t>(texts_.size());
  texts_.push_back(std::move(text));
  atoms_.emplace(texts_.back(), atom);
  return atom;
}

std::unique_ptr<PieceTokenizer> BytePair::start() const {
  return std::make_unique<BytePairPieces>(*this);
}

std::optional<Merge> BytePair::merge(const Symbol& left, const Symbol& right) const {
  if (left.atom < 0 || right.atom < 0) return std::nullopt;
  const auto found = merges_.find(pair_key(left.atom, right.atom));
  if (found == merges_.end()) return std::nullopt;
  return found->second;
}

std::optional<TokenId> BytePair::token_of(std::string_view written_text) const {
  const auto found = atoms_.find(written_text);
  if (found == atoms_.end() || static_cast<size_t>(found->second) >= token_count_)
    return std::nullopt;
  return static_cast<TokenId>(found->second);
}

std::string BytePair::written(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) text += byte_text(byte);
  return text;
}

std::optional<TokenId> BytePair::whole_word(std::string_view word) const {
  if (!pre_tokenizer_.whole_words || word.size() > longest_token_) return std::nullopt;
  return token_of(written(word));
}

void BytePair::append(std::string_view bytes, int32_t atom, std::vector<TokenId>& tokens) const {
  if (atom >= 0 && static_cast<size_t>(atom) < token_count_) {
    tokens.push_back(static_cast<TokenId>(atom));
    return;
  }
  // As libllama: what is no token is its bytes as they are written, where those are tokens.
  for (const char byte : written(bytes)) {
    if (const auto token = token_of(std::string_view(&byte, 1))) tokens.push_back(*token);
  }
}

}  // namespace pie::model
