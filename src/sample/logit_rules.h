#pragma once
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/strong_id.h"

namespace pie::sample {

/// What is done to a row of logits before anything is drawn or ranked of it: penalties, then bias,
/// then the mask. Data alone, so that an executor whose logits are elsewhere can do the same.
struct LogitRules {
  /// What a token has to bear because it was there before.
  struct Penalty {
    TokenId token = 0;
    /// Positive logits are divided by it, negative ones multiplied (Keskar et al., 2019); 1: none.
    float divisor = 1.0F;
    /// Taken from the logit then: presence, frequency, DRY.
    float subtrahend = 0.0F;
  };

  std::vector<Penalty> penalties;               ///< of different tokens
  std::vector<std::pair<TokenId, float>> bias;  ///< added; of different tokens
  /// One bit a token, from the lowest of the first word on: whether it may be drawn; tokens beyond
  /// may not. Empty: all may.
  std::vector<uint32_t> allowed;

  bool is_empty() const { return penalties.empty() && bias.empty() && allowed.empty(); }
  bool allows(TokenId token) const;
  /// Whether the mask leaves a token of the vocabulary.
  bool allows_any(uint32_t vocab_size) const;

  /// The row with the rules applied, in `scratch`: rows are shared. What penalties and bias make
  /// less than any finite number is the least one, so that the mask alone forbids; tokens beyond
  /// the row are ignored.
  std::span<const float> apply(std::span<const float> logits, std::vector<float>& scratch) const;
};

}  // namespace pie::sample
