#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "model/pair_merger.h"
#include "model/piece_tokenizer.h"
#include "model/split_regex.h"

namespace pie::model {

/// Byte-level byte-pair encoding: words are cut by the pre-tokenizer, their bytes written as
/// GPT-2's printable characters, and neighbours merged by rank.
class BytePair final : public TokenRules {
 public:
  /// `vocabulary` by token id, `merges` ("left right") by rank.
  BytePair(PreTokenizer pre_tokenizer, const std::vector<std::string>& vocabulary,
           const std::vector<std::string_view>& merges);

  std::unique_ptr<PieceTokenizer> start() const override;

  std::optional<Merge> merge(const Symbol& left, const Symbol& right) const;
  /// The atom of one byte; -1 where neither vocabulary nor merges know it.
  int32_t byte_atom(char byte) const { return byte_atoms_[static_cast<uint8_t>(byte)]; }
  /// The token that a whole word is, for pre-tokenizers that look for it first.
  std::optional<TokenId> whole_word(std::string_view word) const;
  /// The tokens of a symbol.
  void append(std::string_view bytes, int32_t atom, std::vector<TokenId>& tokens) const;
  const PreTokenizer& pre_tokenizer() const { return pre_tokenizer_; }

 private:
  int32_t intern(std::string text);
  std::optional<TokenId> token_of(std::string_view written) const;
  static std::string written(std::string_view bytes);

  PreTokenizer pre_tokenizer_;
  // Atoms are texts that merging can meet: those of the vocabulary, at their token ids, and parts.
  std::deque<std::string> texts_;
  std::unordered_map<std::string_view, int32_t> atoms_;
  size_t token_count_ = 0, longest_token_ = 0;
  std::unordered_map<uint64_t, Merge> merges_;
  std::array<int32_t, 256> byte_atoms_{};
};

}  // namespace pie::model
