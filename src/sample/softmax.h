#pragma once
#include <algorithm>
#include <cstddef>
#include <span>

namespace pie::sample {

/// softmax(logits / T) up to its constant: weight(l) = exp((l - max) * scale), 1 for the best
/// logit. NaN and -inf weigh 0, +inf counts as the largest finite number.
struct Softmax {
  float max = 0;    ///< largest clean logit
  float scale = 1;  ///< 1 / T
};

/// The logit as the samplers see it: NaN becomes -inf, +inf the largest finite number.
float clean(float logit);

/// The largest clean logit; -inf when there is none.
float max_logit(std::span<const float> logits);

/// weight(logit), relative error below 1e-6; 0 below exp(-87).
float weight(const Softmax& softmax, float logit);

/// The smallest logit whose weight is at least `share`, a part of 1; the lowest float for 0 and
/// NaN.
float least_logit(const Softmax& softmax, float share);

/// Rows are looked at in blocks of so many logits.
constexpr size_t kRowBlock = 128;
inline std::span<const float> block_of(std::span<const float> logits, size_t begin) {
  return logits.subspan(begin, std::min(kRowBlock, logits.size() - begin));
}

/// Sum of the weights of the logits that are >= least.
double sum_weights(std::span<const float> logits, const Softmax& softmax, float least);

/// Sum of weight * (max - logit) * scale over all logits: with the sum of the weights W,
/// sum_depths / W + ln W is the entropy in nats.
double sum_depths(std::span<const float> logits, const Softmax& softmax);

}  // namespace pie::sample
