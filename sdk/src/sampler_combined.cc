// Sampler: several as one, and in the words of the engine's own loop.
#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

#include "pie/sampler.h"

namespace inferlet {
namespace {

/// Of how many tokens filters of the program see the probabilities.
constexpr uint32_t kFilteredMax = 1024;

void keep_first(Distribution& of, size_t count) {
  of.ids.resize(std::min(of.ids.size(), std::max<size_t>(count, 1)));
  of.probabilities.resize(of.ids.size());
}

/// The fewest of the best that together reach `p`.
void keep_top_p(Distribution& of, float p) {
  float sum = 0.0F;
  size_t count = 0;
  while (count < of.ids.size() && sum < p) sum += of.probabilities[count++];
  keep_first(of, count);
}

void keep_min_p(Distribution& of, float p) {
  if (of.ids.empty()) return;
  const float least = p * of.probabilities.front();
  size_t count = 0;
  while (count < of.ids.size() && of.probabilities[count] >= least) ++count;
  keep_first(of, count);
}

/// One of the tokens, by their probabilities.
uint32_t draw(const Distribution& from) {
  static std::mt19937_64 random = [] {
    std::random_device device;
    return std::mt19937_64((uint64_t{device()} << 32U) | device());
  }();
  float sum = 0.0F;
  for (const float probability : from.probabilities) sum += probability;
  float left = std::uniform_real_distribution<float>(0.0F, sum)(random);
  for (size_t i = 0; i + 1 < from.ids.size(); ++i) {
    left -= from.probabilities[i];
    if (left < 0.0F) return from.ids[i];
  }
  return from.ids.back();
}

/// Both filters, the narrower of two bounds.
Sampling narrower(const Sampling& a, const Sampling& b) {
  Sampling both = a;
  if (b.top_k != 0) both.top_k = a.top_k == 0 ? b.top_k : std::min(a.top_k, b.top_k);
  both.top_p = std::min(a.top_p, b.top_p);
  both.min_p = std::max(a.min_p, b.min_p);
  both.typical_p = std::min(a.typical_p, b.typical_p);
  if (a.xtc_probability == 0.0F) {
    both.xtc_probability = b.xtc_probability;
    both.xtc_threshold = b.xtc_threshold;
  }
  return both;
}

/// Where one cuts, the other must still see what it cut off.
void keep_both(Distribution& of, const Sampler::Filter& first, const Sampler::Filter& second) {
  Distribution other = of;
  first(of);
  second(other);
  Distribution kept;
  for (size_t i = 0; i < of.ids.size(); ++i) {
    if (std::ranges::find(other.ids, of.ids[i]) == other.ids.end()) continue;
    kept.ids.push_back(of.ids[i]);
    kept.probabilities.push_back(of.probabilities[i]);
  }
  of = std::move(kept);
}

}  // namespace

Sampler Sampler::filtered(float temperature, uint32_t top_k, Filter filter) {
  Sampler sampler = custom(temperature, top_k, [filter](const Distribution& all) {
    Distribution left = all;
    filter(left);
    return draw(left.ids.empty() ? all : left);
  });
  sampler.filter_ = std::move(filter);
  return sampler;
}

/// What this sampler does to a distribution.
Sampler::Filter Sampler::filter() const {
  return [how = sampling_, more = filter_](Distribution& of) {
    if (how.top_k != 0) keep_first(of, how.top_k);
    if (how.top_p < 1.0F) keep_top_p(of, how.top_p);
    if (how.min_p > 0.0F) keep_min_p(of, how.min_p);
    if (more) more(of);
  };
}

void Sampler::add_rules(const Sampler& other) {
  if (!seed_) seed_ = other.seed_;
  if (!has_penalty_) {
    penalty_ = other.penalty_;
    penalised_ = other.penalised_;
    has_penalty_ = other.has_penalty_;
  }
  biased_.insert(biased_.end(), other.biased_.begin(), other.biased_.end());
  biases_.insert(biases_.end(), other.biases_.begin(), other.biases_.end());
  sets_.insert(sets_.end(), other.sets_.begin(), other.sets_.end());
  if (mistake_.empty()) mistake_ = other.mistake_;
}

Sampler operator&(const Sampler& a, const Sampler& b) {
  using Kind = Sampler::Kind;
  if (a.chooses_itself()) return a;
  if (b.chooses_itself()) return b;
  Sampler both = a;
  if (!a.filter_ && !b.filter_) {
    both.sampling_ = narrower(a.sampling_, b.sampling_);
    if (b.kind_ != Kind::kPlain) both.kind_ = a.kind_ == Kind::kPlain ? b.kind_ : Kind::kEverything;
  } else if (a.sampling_.temperature != 0.0F) {
    uint32_t top_k = kFilteredMax;
    bool has_others = false;
    for (const Sampler* one : {&a, &b}) {
      const Sampling& how = one->sampling_;
      if (how.top_k != 0) top_k = std::min(top_k, how.top_k);
      has_others = has_others || how.typical_p < 1.0F || how.xtc_probability > 0.0F;
    }
    both = Sampler::filtered(a.sampling_.temperature, top_k,
                             [first = a.filter(), second = b.filter()](Distribution& of) {
                               keep_both(of, first, second);
                             });
    both.add_rules(a);
    if (has_others)
      both.mistake_ =
          "[sampler] got typical or XTC beside a filter of the program, expected top-k, top-p or "
          "min-p";
  }
  both.add_rules(b);
  if (both.seed_ && !both.filter_) both.kind_ = Kind::kEverything;
  return both;
}

std::optional<GenerationSampling> Sampler::for_engine(size_t length) const {
  constexpr size_t kWindowMax = 4096;
  constexpr float kBiasMax = 1e6F, kRepetitionMin = 1e-3F, kRepetitionMax = 1e3F;
  constexpr float kTargetMax = 1e3F;
  if (kind_ == Kind::kCustom || kind_ == Kind::kLogits || !sets_.empty() || !mistake_.empty())
    return std::nullopt;
  if (sampling_.draw || sampling_.surprise_max != 0.0F ||
      sampling_.details != (mirostat_ != nullptr))
    return std::nullopt;
  GenerationSampling how;
  static_cast<Sampling&>(how) = sampling_;
  how.details = false;
  how.seed = seed_;
  if (mirostat_) {
    const auto [target, rate, surprise_max] = *mirostat_;
    if (!(target >= kSurpriseMin && target <= kTargetMax && rate >= 0.0F && rate <= 1.0F))
      return std::nullopt;
    how.mirostat = {target, rate, surprise_max};
  }
  if (has_penalty_) {
    const auto& [repetition, presence, frequency] = penalty_;
    if (!(repetition >= kRepetitionMin && repetition <= kRepetitionMax)) return std::nullopt;
    if (!(std::abs(presence) <= kBiasMax && std::abs(frequency) <= kBiasMax)) return std::nullopt;
    if (std::min(penalised_, length) > kWindowMax) return std::nullopt;
    how.penalties = {.repetition = repetition,
                     .window = static_cast<uint32_t>(std::min(penalised_, kWindowMax)),
                     .presence = presence,
                     .frequency = frequency,
                     .counted = GenerationSampling::Penalties::Counted::kWindow};
  }
  for (size_t i = 0; i < biased_.size(); ++i) {
    const auto known = std::ranges::find(how.bias, biased_[i], &std::pair<uint32_t, float>::first);
    if (known == how.bias.end()) {
      how.bias.emplace_back(biased_[i], biases_[i]);
    } else {
      known->second += biases_[i];
    }
  }
  for (const auto& [token, bias] : how.bias)
    if (!(std::abs(bias) <= kBiasMax)) return std::nullopt;
  return how;
}

}  // namespace inferlet
