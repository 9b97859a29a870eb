#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "decode/request.h"
#include "sample/logit_rules.h"

namespace pie::decode {

/// What penalties and bias make of the next token's logits, by the tokens so far. Time: linear in
/// the windows and in the different tokens that were generated. Not thread-safe.
class HistoryRules {
 public:
  /// `context`: tokens before the generation.
  HistoryRules(const TokenChoice& sampling, std::span<const TokenId> context);

  /// A token was generated.
  void append(TokenId token);
  /// For the token that would come after these; null: nothing is done to it.
  std::shared_ptr<sample::LogitRules> after(std::span<const TokenId> draft) const;

 private:
  struct Count {
    TokenId token = 0;
    uint32_t generated = 0;
    uint32_t recent = 0;  ///< in the window
  };
  using Counts = std::vector<Count>;  ///< by token, ascending

  static Count& count_of(Counts& counts, TokenId token);
  TokenId from_end(std::span<const TokenId> draft, size_t back) const;
  /// One more token, the last of `text`.
  void add(Counts& counts, std::span<const TokenId> draft) const;
  std::vector<std::pair<TokenId, float>> dry(std::span<const TokenId> draft) const;

  const Penalties penalties_;
  const DryPenalty dry_;
  const std::vector<std::pair<TokenId, float>> bias_;
  const bool counts_tokens_;
  std::vector<TokenId> tokens_;  ///< context, then what was generated
  Counts counts_;
};

}  // namespace pie::decode
