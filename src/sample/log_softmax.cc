#include "sample/log_softmax.h"

#include <cmath>
#include <limits>

#include "sample/softmax.h"

namespace pie::sample {
namespace {

constexpr float kLeast = std::numeric_limits<float>::lowest();

}  // namespace

std::vector<float> log_probabilities(std::span<const float> logits,
                                     std::span<const TokenId> tokens) {
  std::vector<float> all(tokens.size(), -std::numeric_limits<float>::infinity());
  const Softmax softmax{.max = max_logit(logits)};
  if (softmax.max < kLeast) return all;
  const double log_total = std::log(sum_weights(logits, softmax, kLeast));
  for (size_t i = 0; i < tokens.size(); ++i) {
    const double depth = double{clean(logits[tokens[i]])} - double{softmax.max};
    all[i] = static_cast<float>(depth - log_total);
  }
  return all;
}

float entropy(std::span<const float> logits) {
  const Softmax softmax{.max = max_logit(logits)};
  if (softmax.max < kLeast) return 0;
  const double total = sum_weights(logits, softmax, kLeast);
  return static_cast<float>(std::log(total) + sum_depths(logits, softmax) / total);
}

}  // namespace pie::sample
