#pragma once
#include <span>
#include <vector>

#include "base/strong_id.h"

namespace pie::sample {

/// ln softmax(logits) of the tokens, which are ids of the row; -inf where nothing of it is above
/// -inf.
std::vector<float> log_probabilities(std::span<const float> logits,
                                     std::span<const TokenId> tokens);

/// The entropy of softmax(logits) in nats; 0 where nothing of the row is above -inf.
float entropy(std::span<const float> logits);

}  // namespace pie::sample
