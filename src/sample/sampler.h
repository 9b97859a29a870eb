#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/strong_id.h"
#include "sample/candidates.h"
#include "sample/distribution.h"
#include "sample/logit_range.h"
#include "sample/random.h"
#include "sample/row_answers.h"
#include "sample/sampler_params.h"
#include "sample/softmax.h"

namespace pie::sample {

/// Below this temperature a draw is the argmax (inferlet-host.md, section 2).
constexpr float kGreedyTemperature = 1e-5F;

/// The best token; of equal ones the lowest id. NaN counts as -inf; 0 when nothing is above -inf.
TokenId argmax(std::span<const float> logits);

/// A token, and its surprise in bits of the distribution that it was drawn from: softmax of what
/// the filters left, at the temperature. 0 where nothing else could come.
struct DrawnToken {
  TokenId token = 0;
  float surprise = 0;
};

/// Draws from rows of logits, f32 [n_vocab]. Any float is fine as input. Results depend on the
/// arguments alone. Keeps scratch memory: one object per thread.
class Sampler {
 public:
  /// One token: logits -> /T -> softmax -> top_k -> top_p -> min_p -> typical_p -> XTC ->
  /// surprise_max -> draw. Each filter sees the probabilities of what is left, and leaves at least
  /// one token: the best one, but for typical_p and XTC, which may exclude it.
  DrawnToken draw(std::span<const float> logits, const SamplerParams& params,
                  const DrawChance& chance);

  /// The k best (at most n_vocab) of softmax(logits / T); below kGreedyTemperature of
  /// softmax(logits).
  Distribution rank(std::span<const float> logits, float temperature, uint32_t k);

  /// The n greatest logits (at most n_vocab), the greatest first; 0: the row as it is.
  LogitRow best(std::span<const float> logits, uint32_t n);

 private:
  /// Draws among the first `count` candidates that are >= least.
  DrawnToken draw_candidate(const Softmax& softmax, size_t count, float least,
                            double uniform) const;
  /// Draws among the logits from a least one on (float), or in a LogitRange.
  template <class Bound>
  DrawnToken draw_within(std::span<const float> logits, const Softmax& softmax, const Bound& bound,
                         double uniform);
  /// Draws among the best that reach top_p of the whole vocabulary.
  DrawnToken draw_nucleus(std::span<const float> logits, const Softmax& softmax, float least,
                          const SamplerParams& params, const DrawChance& chance);
  /// Draws among the first `count` candidates, of which the filters behind top_p have the rest.
  DrawnToken draw_of(size_t count, const Softmax& softmax, float least, const SamplerParams& params,
                     const DrawChance& chance);
  /// Draws among the logits after the filters behind min_p, whose bound is `least`; `token` of the
  /// result is an index of `logits`.
  DrawnToken draw_narrowed(std::span<const float> logits, Softmax softmax, float least,
                           const SamplerParams& params, const DrawChance& chance);

  Candidates candidates_;
  std::vector<float> candidate_logits_;
  std::vector<double> sums_;
  MassRange mass_range_;
};

}  // namespace pie::sample
