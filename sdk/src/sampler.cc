#include "pie/sampler.h"

#include <algorithm>
#include <utility>

namespace inferlet {

Sampler Sampler::multinomial(float temperature) { return Sampler(Kind::kPlain, temperature); }

Sampler Sampler::top_p(float temperature, float top_p) {
  Sampler sampler(Kind::kTopP, temperature);
  sampler.sampling_.top_p = top_p;
  return sampler;
}

Sampler Sampler::top_k(float temperature, uint32_t top_k) {
  Sampler sampler(Kind::kTopK, temperature);
  sampler.sampling_.top_k = top_k;
  return sampler;
}

Sampler Sampler::min_p(float temperature, float min_p) {
  Sampler sampler(Kind::kMinP, temperature);
  sampler.sampling_.min_p = min_p;
  return sampler;
}

Sampler Sampler::top_k_top_p(float temperature, uint32_t top_k, float top_p) {
  Sampler sampler(Kind::kTopKTopP, temperature);
  sampler.sampling_.top_k = top_k;
  sampler.sampling_.top_p = top_p;
  return sampler;
}

Sampler Sampler::typical(float temperature, float typical_p) {
  return of({.temperature = temperature, .typical_p = typical_p});
}

Sampler Sampler::of(const Sampling& sampling) {
  Sampler sampler(Kind::kEverything);
  sampler.sampling_ = sampling;
  return sampler;
}

Sampler Sampler::mirostat(float temperature, float surprise, float rate) {
  Sampler sampler = of({.temperature = temperature, .details = true});
  sampler.mirostat_ = std::make_shared<Mirostat>(Mirostat{surprise, rate, 2 * surprise});
  return sampler;
}

Sampler Sampler::custom(float temperature, uint32_t top_k, Choose choose) {
  Sampler sampler(Kind::kCustom, temperature);
  sampler.sampling_.top_k = top_k;
  sampler.choose_ = std::move(choose);
  return sampler;
}

Sampler Sampler::over_logits(ChooseByLogits choose) {
  Sampler sampler(Kind::kLogits);
  sampler.choose_by_logits_ = std::move(choose);
  return sampler;
}

Sampler Sampler::distribution(float temperature, uint32_t top_k) {
  return custom(temperature, top_k, nullptr);
}

Sampler Sampler::with_penalties(const Penalty& penalty, size_t last) const {
  Sampler sampler = *this;
  sampler.penalty_ = penalty;
  sampler.penalised_ = last;
  sampler.has_penalty_ = true;
  return sampler;
}

Sampler Sampler::with_bias(std::vector<std::pair<uint32_t, float>> bias) const {
  Sampler sampler = *this;
  for (const auto& [token, value] : bias) {
    sampler.biased_.push_back(token);
    sampler.biases_.push_back(value);
  }
  return sampler;
}

Sampler Sampler::with_allowed(std::shared_ptr<const TokenSet> tokens) const {
  Sampler sampler = *this;
  sampler.sets_.push_back({std::move(tokens), SetRule::Use::kAllow});
  return sampler;
}

Sampler Sampler::with_forbidden(std::shared_ptr<const TokenSet> tokens) const {
  Sampler sampler = *this;
  sampler.sets_.push_back({std::move(tokens), SetRule::Use::kForbid});
  return sampler;
}

Sampler Sampler::with_xtc(float probability, float threshold) const {
  Sampler sampler = *this;
  sampler.sampling_.xtc_probability = probability;
  sampler.sampling_.xtc_threshold = threshold;
  if (kind_ != Kind::kCustom && kind_ != Kind::kLogits) sampler.kind_ = Kind::kEverything;
  return sampler;
}

Sampler Sampler::with_seed(uint64_t seed) const {
  Sampler sampler = *this;
  sampler.seed_ = seed;
  if (kind_ != Kind::kCustom && kind_ != Kind::kLogits) sampler.kind_ = Kind::kEverything;
  return sampler;
}

}  // namespace inferlet
