#pragma once
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

/// Sum of the weights of the logits that are >= least.
double sum_weights(std::span<const float> logits, const Softmax& softmax, float least);

/// Sum of weight * (max - logit) * scale over all logits: with the sum of the weights W,
/// sum_depths / W + ln W is the entropy in nats.
double sum_depths(std::span<const float> logits, const Softmax& softmax);

}  // namespace pie::sample
