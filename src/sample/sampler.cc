#include "sample/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace pie::sample {
namespace {

constexpr size_t kBlock = 128;  // logits looked at together
constexpr float kLeast = std::numeric_limits<float>::lowest();

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

TokenId Sampler::draw_candidate(const Softmax& softmax, size_t count, float least,
                                double uniform) const {
  const auto kept = std::span(candidates_).first(count);
  double total = 0;
  for (const Candidate& c : kept) total += c.logit >= least ? weight(softmax, c.logit) : 0.0F;
  double sum = 0;
  TokenId last = kept.front().id;
  for (const Candidate& c : kept) {
    const float w = c.logit >= least ? weight(softmax, c.logit) : 0.0F;
    if (w <= 0.0F) continue;
    last = c.id;
    sum += w;
    if (sum > uniform * total) break;
  }
  return last;
}

TokenId Sampler::draw_any(std::span<const float> logits, const Softmax& softmax, float least,
                          double uniform) {
  sums_.clear();
  double total = 0;
  for (size_t begin = 0; begin < logits.size(); begin += kBlock) {
    sums_.push_back(sum_weights(block_of(logits, begin), softmax, least));
    total += sums_.back();
  }
  const double target = uniform * total;
  double sum = 0;
  size_t block = 0;
  while (block + 1 < sums_.size() && sum + sums_[block] <= target) sum += sums_[block++];
  TokenId last = argmax(logits);  // where rounding leaves nothing in the block to draw
  for (size_t i = block * kBlock; i < std::min(logits.size(), (block + 1) * kBlock); ++i) {
    const float w = clean(logits[i]) >= least ? weight(softmax, logits[i]) : 0.0F;
    if (w <= 0.0F) continue;
    last = static_cast<TokenId>(i);
    sum += w;
    if (sum > target) break;
  }
  return last;
}

TokenId Sampler::draw(std::span<const float> logits, const SamplerParams& params, double uniform) {
  if (!(params.temperature >= kGreedyTemperature)) return argmax(logits);
  const Softmax softmax = softmax_of(logits, params.temperature);
  if (softmax.max < kLeast) return 0;  // nothing above -inf
  const float least = least_logit(softmax, params.min_p);
  const auto vocab_size = static_cast<uint32_t>(logits.size());
  const bool all_tokens = params.top_k == 0 || params.top_k >= vocab_size;
  const bool all_mass = !(params.top_p < 1.0F);
  if (all_tokens && all_mass) return draw_any(logits, softmax, least, uniform);

  if (all_tokens) {
    const size_t count = nucleus(logits, softmax, params.top_p);
    return draw_candidate(softmax, count, least, uniform);
  }
  select(logits, params.top_k);
  size_t count = candidates_.size();
  if (!all_mass) {
    double mass = 0;
    for (const Candidate& c : candidates_) mass += weight(softmax, c.logit);
    count = std::min(count, count_to_mass(softmax, mass * double{params.top_p}));
  }
  return draw_candidate(softmax, count, least, uniform);
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
