#include "sample/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <optional>

namespace pie::sample {
namespace {

constexpr size_t kBlock = 128;  // logits looked at together
constexpr float kLeast = std::numeric_limits<float>::lowest();
constexpr float kLargest = std::numeric_limits<float>::max();

Softmax softmax_of(std::span<const float> logits, float temperature) {
  // At an endless temperature all finite logits are equal; the bound keeps 0 * inf away.
  return Softmax{max_logit(logits),
                 std::max(1.0F / temperature, std::numeric_limits<float>::min())};
}

std::span<const float> block_of(std::span<const float> logits, size_t begin) {
  return logits.subspan(begin, std::min(kBlock, logits.size() - begin));
}

/// The smallest logit whose weight is at least min_p.
float least_logit(const Softmax& softmax, float min_p) {
  if (!(min_p > 0.0F)) return kLeast;
  if (min_p >= 1.0F) return softmax.max;
  return std::max(kLeast, softmax.max + std::log(min_p) / softmax.scale);
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

/// The block in which the running sum of `sums` passes `target`; `before`: the sum of those before
/// it.
size_t block_at(std::span<const double> sums, double target, double& before) {
  size_t block = 0;
  while (block + 1 < sums.size() && before + sums[block] <= target) before += sums[block++];
  return block;
}

}  // namespace

TokenId argmax(std::span<const float> logits) {
  float best = -std::numeric_limits<float>::infinity();
  size_t best_block = 0;
  for (size_t begin = 0; begin < logits.size(); begin += kBlock) {
    const float block_best = max_logit(block_of(logits, begin));
    if (block_best > best) best = block_best, best_block = begin;
  }
  for (size_t i = best_block; i < logits.size(); ++i) {
    if (clean(logits[i]) == best) return static_cast<TokenId>(i);
  }
  return 0;
}

void Sampler::select(std::span<const float> logits, uint32_t k) {
  candidates_.clear();
  if (k == 0) return;
  const size_t limit = 2 * size_t{k} + 64;
  bool full = false;
  float bar = 0;  // when full: only what is above it can be among the k best
  const auto keep_best = [&] {
    std::nth_element(candidates_.begin(), candidates_.begin() + (k - 1), candidates_.end());
    candidates_.resize(k);
    bar = candidates_.back().logit;
    full = true;
  };
  for (size_t begin = 0; begin < logits.size(); begin += kBlock) {
    const std::span<const float> block = block_of(logits, begin);
    if (full && max_logit(block) <= bar) continue;
    for (size_t i = 0; i < block.size(); ++i) {
      const float logit = clean(block[i]);
      if (full && logit <= bar) continue;
      candidates_.push_back({logit, static_cast<TokenId>(begin + i)});
    }
    if (candidates_.size() >= limit || (!full && candidates_.size() > k)) keep_best();
  }
  if (candidates_.size() > k) keep_best();
  std::sort(candidates_.begin(), candidates_.end());
}

size_t Sampler::count_to_mass(const Softmax& softmax, double mass) const {
  double sum = 0;
  for (size_t i = 0; i < candidates_.size(); ++i) {
    sum += weight(softmax, candidates_[i].logit);
    if (sum >= mass) return i + 1;
  }
  return candidates_.size() + 1;
}

size_t Sampler::nucleus_of_all(std::span<const float> logits, const Softmax& softmax, double mass) {
  // A quickselect by weight: [0, begin) is in the nucleus, [end, ...) is not.
  candidates_.resize(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    candidates_[i] = {clean(logits[i]), static_cast<TokenId>(i)};
  }
  size_t begin = 0;
  size_t end = candidates_.size();
  double sum = 0;
  while (end - begin > 1) {
    const size_t middle = begin + (end - begin) / 2;
    const auto first = candidates_.begin();
    std::nth_element(first + static_cast<ptrdiff_t>(begin), first + static_cast<ptrdiff_t>(middle),
                     first + static_cast<ptrdiff_t>(end));
    double upper = 0;
    for (size_t i = begin; i < middle; ++i) upper += weight(softmax, candidates_[i].logit);
    if (sum + upper >= mass) {
      end = middle;
    } else {
      begin = middle;
      sum += upper;
    }
  }
  return end;
}

size_t Sampler::nucleus(std::span<const float> logits, const Softmax& softmax, float top_p) {
  constexpr uint32_t kFew = 256;
  constexpr uint32_t kMany = 4096;
  const auto vocab_size = static_cast<uint32_t>(logits.size());
  const double mass = sum_weights(logits, softmax, kLeast) * double{top_p};
  for (const uint32_t k : {kFew, kMany}) {
    if (k >= vocab_size) break;
    select(logits, k);
    const size_t count = count_to_mass(softmax, mass);
    if (count <= k) return count;
  }
  return nucleus_of_all(logits, softmax, mass);
}

DrawnToken Sampler::draw_candidate(const Softmax& softmax, size_t count, float least,
                                   double uniform) const {
  const auto kept = std::span(candidates_).first(count);
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

DrawnToken Sampler::draw_any(std::span<const float> logits, const Softmax& softmax, float least,
                             double uniform) {
  sums_.clear();
  double total = 0;
  for (size_t begin = 0; begin < logits.size(); begin += kBlock) {
    sums_.push_back(sum_weights(block_of(logits, begin), softmax, least));
    total += sums_.back();
  }
  const double target = uniform * total;
  double sum = 0;
  const size_t block = block_at(sums_, target, sum);
  std::optional<TokenId> drawn;
  for (size_t i = block * kBlock; i < std::min(logits.size(), (block + 1) * kBlock); ++i) {
    const float w = clean(logits[i]) >= least ? weight(softmax, logits[i]) : 0.0F;
    if (w <= 0.0F) continue;
    drawn = static_cast<TokenId>(i);
    sum += w;
    if (sum > target) break;
  }
  // Where rounding leaves nothing in the block to draw.
  const TokenId token = drawn ? *drawn : argmax(logits);
  return {token, surprise_of(softmax, clean(logits[token]), total)};
}

DrawnToken Sampler::draw_in(std::span<const float> logits, const Softmax& softmax,
                            const LogitRange& range, double uniform) {
  sums_.clear();
  double total = 0;
  for (size_t begin = 0; begin < logits.size(); begin += kBlock) {
    sums_.push_back(sum_weights(block_of(logits, begin), softmax, range));
    total += sums_.back();
  }
  const double target = uniform * total;
  double sum = 0;
  const size_t block = block_at(sums_, target, sum);
  std::optional<TokenId> drawn;
  for (size_t i = block * kBlock; i < std::min(logits.size(), (block + 1) * kBlock); ++i) {
    const float logit = clean(logits[i]);
    if (logit < range.least || logit > range.most) continue;
    const float w = weight(softmax, logit);
    if (w <= 0.0F) continue;
    drawn = static_cast<TokenId>(i);
    sum += w;
    if (sum > target) break;
  }
  // Where rounding leaves nothing in the block to draw: the best one.
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
    range = typical_.narrow(logits, softmax, range, params.typical_p);
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
  return draw_in(logits, softmax, range, chance.token);
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
  const bool narrows =
      params.typical_p < 1.0F || excludes(params, chance) || bounds_surprise(params);
  if (all_tokens && all_mass) {
    return narrows ? draw_narrowed(logits, softmax, least, params, chance)
                   : draw_any(logits, softmax, least, chance.token);
  }

  size_t count = 0;
  if (all_tokens) {
    count = nucleus(logits, softmax, params.top_p);
  } else {
    select(logits, params.top_k);
    count = candidates_.size();
    if (!all_mass) {
      double mass = 0;
      for (const Candidate& c : candidates_) mass += weight(softmax, c.logit);
      count = std::min(count, count_to_mass(softmax, mass * double{params.top_p}));
    }
  }
  if (!narrows) return draw_candidate(softmax, count, least, chance.token);
  candidate_logits_.clear();
  for (const Candidate& c : std::span(candidates_).first(count))
    candidate_logits_.push_back(c.logit);
  DrawnToken drawn = draw_narrowed(candidate_logits_, softmax, least, params, chance);
  drawn.token = candidates_[drawn.token].id;
  return drawn;
}

LogitRow Sampler::best(std::span<const float> logits, uint32_t n) {
  LogitRow row;
  if (n == 0) {
    row.logits.assign(logits.begin(), logits.end());
    return row;
  }
  select(logits, std::min<uint32_t>(n, static_cast<uint32_t>(logits.size())));
  row.ids.reserve(candidates_.size());
  row.logits.reserve(candidates_.size());
  for (const Candidate& c : candidates_) {
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
  select(logits, std::min<uint32_t>(k, static_cast<uint32_t>(logits.size())));
  Distribution ranking;
  ranking.ids.reserve(candidates_.size());
  ranking.probabilities.reserve(candidates_.size());
  for (const Candidate& c : candidates_) {
    ranking.ids.push_back(c.id);
    const double p = nothing ? 0.0 : double{weight(softmax, c.logit)} / total;
    ranking.probabilities.push_back(static_cast<float>(p));
  }
  return ranking;
}

}  // namespace pie::sample
