#pragma once
#include <vector>

#include "base/strong_id.h"

namespace pie::sample {

/// What is known of a token that was drawn.
struct TokenDetails {
  float log_probability = 0;  ///< of softmax(logits): without rules, temperature and filters
  float surprise = 0;         ///< in bits, of the distribution that it was drawn from
};

/// Logits of a row, as the model gave them. Ids are empty when it is the whole row, by token.
struct LogitRow {
  std::vector<TokenId> ids;
  std::vector<float> logits;
};

}  // namespace pie::sample
