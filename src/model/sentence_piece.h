#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "model/pair_merger.h"
#include "model/piece_tokenizer.h"

namespace pie::model {

/// SentencePiece's BPE: neighbours merge when what they make is a token, best score first; what is
/// no token at the end is written as bytes.
class SentencePiece final : public TokenRules {
 public:
  struct Options {
    bool add_space_prefix = true;
    std::optional<TokenId> unknown;  ///< for bytes that have no token
  };
  /// By token id; as many scores as texts.
  SentencePiece(std::vector<std::string> vocabulary, std::vector<float> scores, Options options);

  std::unique_ptr<PieceTokenizer> start() const override;

  /// The token of a text; -1 for none.
  int32_t token_of(std::string_view text) const;
  /// What a pair whose bytes are `text` becomes.
  std::optional<Merge> merge(std::string_view text) const;
  void append_bytes(std::string_view bytes, std::vector<TokenId>& tokens) const;
  bool add_space_prefix() const { return options_.add_space_prefix; }

 private:
  std::vector<std::string> vocabulary_;
  std::vector<float> scores_;
  Options options_;
  std::unordered_map<std::string_view, int32_t> ids_;
  size_t longest_ = 0;
  std::array<int32_t, 256> bytes_{};  ///< token of each byte; -1: none
};

}  // namespace pie::model
