#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/mapping.h"
#include "base/result.h"
#include "model/adapter.h"

// Evolution strategies over adapters: (mu/mu_w, lambda) with cumulative step-size adaptation
// (Hansen 2016, "The CMA Evolution Strategy: A Tutorial", with the identity as covariance). Q and V
// of every layer are adapted. A is drawn once and stays, of elements N(0, 1 / inputs); B is what
// evolves, zero at first, so that the first mean is the model itself. A candidate is a seed s:
//
//   B + sigma * e(s),   e(-s) = -e(s)   (mirrored: s and -s are tried as a pair)
//
// All of it is deterministic: values 2p and 2p + 1 of e(s) are r cos t and r sin t with
// r = sqrt(-2 ln u), t = 2 pi v, computed in f64 and rounded to f32, where u = (h / 2^32 + 1) /
// 2^32 and v = (h mod 2^32) / 2^32 of h = mix(mix(|s|) + p * 0x9E3779B97F4A7C15); mix is
// SplitMix64's.
namespace pie::model {

/// Values of noise that are drawn at once: some 2 ms.
constexpr size_t kNoisePiece = 100'000;

struct EvolutionParams {
  uint32_t rank = 0;
  float alpha = 0;
  uint32_t population_size = 0;
  float mu_fraction = 0;
  float initial_sigma = 0;
};

/// kInvalidArgument names the value and the bound.
Result<void> check_evolution(const EvolutionParams& params);
/// The sizes of such an adapter, before there is memory for it.
AdapterLayout evolving_layout(const Architecture& architecture, const EvolutionParams& params);

/// e(seed) of values [first, first + count): out[i] += factor * e_i(seed), one rounding for the
/// product and one for the sum.
void add_noise(int64_t seed, float factor, size_t first, size_t count, float* out);

/// An adapter of checked parameters before its first update.
std::unique_ptr<AdapterWork> start_evolving(const Architecture& architecture,
                                            const EvolutionParams& params);
/// The candidate `seed` of one that evolves.
std::unique_ptr<AdapterWork> start_candidate(AdapterRef mean, int64_t seed);

struct Scores {
  std::vector<float> scores;   ///< greater is better
  std::vector<int64_t> seeds;  ///< whose score each is
  float max_sigma = 0;
};
/// kInvalidArgument: it does not evolve, lengths, numbers that are not finite.
Result<void> check_scores(const Adapter& mean, const Scores& scores);
/// The next mean, of checked scores. With the mu = max(1, floor(mu_fraction * scores)) best seeds,
/// of equal scores the earlier, and w_i = ln(mu + 1/2) - ln i, scaled to sum 1:
///   step = sum of w_i e(s_i);  B' = B + sigma step;  path' = (1-c) path + sqrt(c (2-c) / sum w^2)
///   step sigma' = min(max_sigma, sigma exp((c / d) (|path'| / E|N(0, I)| - 1)))
/// with c and d as Hansen's tutorial has them.
std::unique_ptr<AdapterWork> start_update(AdapterRef mean, Scores scores);

}  // namespace pie::model
