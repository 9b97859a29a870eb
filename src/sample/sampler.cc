#include "sample/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <optional>

namespace pie::sample {
namespace {

constexpr float kLeast = std::numeric_limits<float>::lowest();
constexpr float kLargest = std::numeric_limits<float>::max();

Softmax softmax_of(std::span<const float> logits, float temperature) {
  // At an endless temperature all finite logits are equal; the bound keeps 0 * inf away.
  return Softmax{max_logit(logits),
                 std::max(1.0F / temperature, std::numeric_limits<float>::min())};
}

/// The logit that weighs `weight`, not below `least`.
float logit_of(const Softmax& softmax, double weight, float least) {
  if (!(weight > 0)) return least;
  const double logit = double{softmax.max} + std::log(weight) / double{softmax.scale};
  return static_cast<float>(std::clamp(logit, double{least}, double{kLargest}));
}

/// -log2 of the logit's share of all weights that it was drawn from.
float surprise_of(const Softmax& softmax, float logit, double total) {
  const double depth = (double{softmax.max} - double{logit}) * double{softmax.scale};
  const double bits = std::log2(total) + depth * std::numbers::log2e;
  return static_cast<float>(std::max(bits, 0.0));
}

bool excludes(const SamplerParams& params, const DrawChance& chance) {
  return chance.exclusion < double{params.xtc_probability} && !std::isnan(params.xtc_threshold);
}

bool bounds_surprise(const SamplerParams& params) {
  return params.surprise_max != 0.0F && !std::isnan(params.surprise_max);
}

/// Whether a filter behind min_p is asked for.
bool narrows(const SamplerParams& params, const DrawChance& chance) {
  return params.typical_p < 1.0F || excludes(params, chance) || bounds_surprise(params);
}

/// The block in which the running sum of `sums` passes `target`; `before`: the sum of those before
/// it.
size_t block_at(std::span<const double> sums, double target, double& before) {
  size_t block = 0;
  while (block + 1 < sums.size() && before + sums[block] <= target) before += sums[block++];
  return block;
}

/// Whether a logit is one of those that are drawn from: from the least on, or in a range.
bool is_within(float least, float logit) { return logit >= least; }
bool is_within(const LogitRange& range, float logit) {
  return logit >= range.least && logit <= range.most;
}

}  // namespace

TokenId argmax(std::span<const float> logits) {
  float best = -std::numeric_limits<float>::infinity();
  size_t best_block = 0;
  for (size_t begin = 0; begin < logits.size(); begin += kRowBlock) {
    const float block_best = max_logit(block_of(logits, begin));
    if (block_best > best) best = block_best, best_block = begin;
  }
  for (size_t i = best_block; i < logits.size(); ++i) {
    if (clean(logits[i]) == best) return static_cast<TokenId>(i);
  }
  return 0;
}

DrawnToken Sampler::draw_candidate(const Softmax& softmax, size_t count, float least,
                                   double uniform) const {
  const auto kept = candidates_.all().first(count);
  double total = 0;
  for (const Candidate& c : kept) total += c.logit >= least ? weight(softmax, c.logit) : 0.0F;
  double sum = 0;
  Candidate last = kept.front();
  for (const Candidate& c : kept) {
    const float w = c.logit >= least ? weight(softmax, c.logit) : 0.0F;
    if (w <= 0.0F) continue;
    last = c;
    sum += w;
    if (sum > uniform * total) break;
  }
  return {last.id, surprise_of(softmax, last.logit, total)};
}

template <class Bound>
DrawnToken Sampler::draw_within(std::span<const float> logits, const Softmax& softmax,
                                const Bound& bound, double uniform) {
  sums_.clear();
  double total = 0;
  for (size_t begin = 0; begin < logits.size(); begin += kRowBlock) {
    sums_.push_back(sum_weights(block_of(logits, begin), softmax, bound));
    total += sums_.back();
  }
  const double target = uniform * total;
  double sum = 0;
  const size_t block = block_at(sums_, target, sum);
  std::optional<TokenId> drawn;
  for (size_t i = block * kRowBlock; i < std::min(logits.size(), (block + 1) * kRowBlock); ++i) {
    const float logit = clean(logits[i]);
    const float w = is_within(bound, logit) ? weight(softmax, logit) : 0.0F;
    if (w <= 0.0F) continue;
    drawn = static_cast<TokenId>(i);
    sum += w;
    if (sum > target) break;
  }
  // Where rounding leaves nothing in the block to draw: the best one of the bound.
  for (size_t i = 0; i < logits.size() && !drawn; ++i) {
    if (clean(logits[i]) == softmax.max) drawn = static_cast<TokenId>(i);
  }
  const TokenId token = drawn.value_or(0);
  return {token, surprise_of(softmax, clean(logits[token]), total)};
}

DrawnToken Sampler::draw_narrowed(std::span<const float> logits, Softmax softmax, float least,
                                  const SamplerParams& params, const DrawChance& chance) {
  LogitRange range{.least = least};
  if (params.typical_p < 1.0F) {
    range = mass_range_.typical(logits, softmax, range, params.typical_p);
    softmax.max = range.most;
  }
  if (excludes(params, chance)) {
    const double total = sum_weights(logits, softmax, range);
    const LogitRange choices = ends_of(
        logits, {logit_of(softmax, total * double{params.xtc_threshold}, range.least), range.most});
    if (choices.least <= choices.most) range.most = softmax.max = choices.least;
  }
  if (bounds_surprise(params)) {
    const double total = sum_weights(logits, softmax, range);
    const double weight_min = total * std::exp2(-double{params.surprise_max});
    range.least = std::min(logit_of(softmax, weight_min, range.least), softmax.max);
  }
  return draw_within(logits, softmax, range, chance.token);
}

DrawnToken Sampler::draw_of(size_t count, const Softmax& softmax, float least,
                            const SamplerParams& params, const DrawChance& chance) {
  if (!narrows(params, chance)) return draw_candidate(softmax, count, least, chance.token);
  candidate_logits_.clear();
  for (const Candidate& c : candidates_.all().first(count)) candidate_logits_.push_back(c.logit);
  DrawnToken drawn = draw_narrowed(candidate_logits_, softmax, least, params, chance);
  drawn.token = candidates_.all()[drawn.token].id;
  return drawn;
}

DrawnToken Sampler::draw_nucleus(std::span<const float> logits, const Softmax& softmax, float least,
                                 const SamplerParams& params, const DrawChance& chance) {
  const double mass = sum_weights(logits, softmax, kLeast) * double{params.top_p};
  if (const auto count = candidates_.nucleus_of_few(logits, softmax, mass))
    return draw_of(*count, softmax, least, params, chance);
  const std::optional<LogitRange> range = mass_range_.nucleus(logits, softmax, mass);
  if (!range)  // which of equal ones belong to it, their ids say
    return draw_of(candidates_.nucleus_of_all(logits, softmax, mass), softmax, least, params,
                   chance);
  least = std::max(least, range->least);
  return narrows(params, chance) ? draw_narrowed(logits, softmax, least, params, chance)
                                 : draw_within(logits, softmax, least, chance.token);
}

DrawnToken Sampler::draw(std::span<const float> logits, const SamplerParams& params,
                         const DrawChance& chance) {
  if (!(params.temperature >= kGreedyTemperature)) return {argmax(logits)};
  const Softmax softmax = softmax_of(logits, params.temperature);
  if (softmax.max < kLeast) return {0};  // nothing above -inf
  const float least = least_logit(softmax, params.min_p);
  const auto vocab_size = static_cast<uint32_t>(logits.size());
  const bool all_tokens = params.top_k == 0 || params.top_k >= vocab_size;
  const bool all_mass = !(params.top_p < 1.0F);
  if (all_tokens && all_mass) {
    return narrows(params, chance) ? draw_narrowed(logits, softmax, least, params, chance)
                                   : draw_within(logits, softmax, least, chance.token);
  }
  if (all_tokens) return draw_nucleus(logits, softmax, least, params, chance);
  candidates_.select(logits, params.top_k);
  size_t count = candidates_.all().size();
  if (!all_mass) {
    double mass = 0;
    for (const Candidate& c : candidates_.all()) mass += weight(softmax, c.logit);
    count = std::min(count, candidates_.count_to_mass(softmax, mass * double{params.top_p}));
  }
  return draw_of(count, softmax, least, params, chance);
}

LogitRow Sampler::best(std::span<const float> logits, uint32_t n) {
  LogitRow row;
  if (n == 0) {
    row.logits.assign(logits.begin(), logits.end());
    return row;
  }
  candidates_.select(logits, std::min<uint32_t>(n, static_cast<uint32_t>(logits.size())));
  row.ids.reserve(candidates_.all().size());
  row.logits.reserve(candidates_.all().size());
  for (const Candidate& c : candidates_.all()) {
    row.ids.push_back(c.id);
    row.logits.push_back(c.logit);
  }
  return row;
}

Distribution Sampler::rank(std::span<const float> logits, float temperature, uint32_t k) {
  const bool tempered = temperature >= kGreedyTemperature;
  const Softmax softmax = softmax_of(logits, tempered ? temperature : 1.0F);
  const bool nothing = softmax.max < kLeast;
  const double total = nothing ? 1.0 : sum_weights(logits, softmax, kLeast);
  candidates_.select(logits, std::min<uint32_t>(k, static_cast<uint32_t>(logits.size())));
  Distribution ranking;
  ranking.ids.reserve(candidates_.all().size());
  ranking.probabilities.reserve(candidates_.all().size());
  for (const Candidate& c : candidates_.all()) {
    ranking.ids.push_back(c.id);
    const double p = nothing ? 0.0 : double{weight(softmax, c.logit)} / total;
    ranking.probabilities.push_back(static_cast<float>(p));
  }
  return ranking;
}

}  // namespace pie::sample
