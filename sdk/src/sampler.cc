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

Result<void> Sampler::request_rules(const ForwardPass& pass, uint32_t index,
                                    const std::optional<TokenHistory>& before) const {
  const std::span<const uint32_t> at(&index, 1);
  if (has_penalty_) {
    if (!before) return fail("[sampler] got no history, expected the tokens to penalise");
    const size_t count = std::min(penalised_, before->tokens.size());
    if (auto done = logits::penalize(pass, at, before->tokens.last(count), penalty_); !done)
      return done;
  }
  if (!biased_.empty()) {
    if (auto done = logits::bias(pass, at, biased_, biases_); !done) return done;
  }
  for (const SetRule& rule : sets_) {
    auto done = rule.use == SetRule::Use::kAllow ? logits::allow(pass, at, *rule.tokens)
                                                 : logits::forbid(pass, at, *rule.tokens);
    if (!done) return done;
  }
  return {};
}

Result<void> Sampler::request_token(const ForwardPass& pass, uint32_t index,
                                    const std::optional<TokenHistory>& before) const {
  Sampling sampling = sampling_;
  if (seed_) {
    if (!before) return fail("[sampler] got a seed and no history, expected the token's position");
    sampling.draw = SeededDraw{*seed_, before->position};
  }
  if (mirostat_) sampling.surprise_max = mirostat_->surprise_max;
  return logits::output_tokens(pass, std::span(&index, 1), sampling);
}

Result<void> Sampler::request(const ForwardPass& pass, uint32_t index,
                              const std::optional<TokenHistory>& before) const {
  const abi::Handle handle = pass.handle();
  const Sampling& how = sampling_;
  if (kind_ == Kind::kLogits && (has_penalty_ || !biased_.empty() || !sets_.empty()))
    return fail("[sampler] got rules over raw logits, expected none: raw logits are the model's");
  if (auto done = request_rules(pass, index, before); !done) return done;
  switch (kind_) {
    case Kind::kPlain: abi::output_tokens(handle, &index, 1, how.temperature); break;
    case Kind::kTopP:
      abi::output_tokens_top_p(handle, &index, 1, how.temperature, how.top_p);
      break;
    case Kind::kTopK:
      abi::output_tokens_top_k(handle, &index, 1, how.temperature, how.top_k);
      break;
    case Kind::kMinP:
      abi::output_tokens_min_p(handle, &index, 1, how.temperature, how.min_p);
      break;
    case Kind::kTopKTopP:
      abi::output_tokens_top_k_top_p(handle, &index, 1, how.temperature, how.top_k, how.top_p);
      break;
    case Kind::kEverything: return request_token(pass, index, before);
    case Kind::kCustom:
      abi::output_distributions(handle, &index, 1, how.temperature, how.top_k != 0, how.top_k);
      break;
    case Kind::kLogits: return logits::output_logits(pass, std::span(&index, 1), 0);
  }
  return {};
}

Result<uint32_t> Sampler::take(const PassResult& result) const {
  if (kind_ == Kind::kLogits) {
    const auto rows = logits::rows(result);
    if (!rows || rows->empty()) return fail("[sampler] the pass gave no logits");
    return choose_by_logits_(rows->front().values);
  }
  if (kind_ == Kind::kCustom) {
    if (!choose_) return fail("[sampler] got a distribution sampler, expected one that chooses");
    const auto distributions = result.distributions();
    if (!distributions || distributions->empty())
      return fail("[sampler] the pass gave no distribution");
    return choose_(distributions->front());
  }
  const auto tokens = result.tokens();
  if (!tokens || tokens->empty()) return fail("[sampler] the pass gave no token");
  if (mirostat_) {
    const auto details = logits::token_details(result);
    if (!details || details->empty()) return fail("[sampler] the pass gave no surprise");
    const float error = details->front().surprise - mirostat_->target;
    // Above 0, which would mean no bound.
    mirostat_->surprise_max = std::max(mirostat_->surprise_max - mirostat_->rate * error, 1e-3F);
  }
  return tokens->front();
}

}  // namespace inferlet
