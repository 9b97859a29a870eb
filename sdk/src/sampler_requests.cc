// Sampler: what it asks of a pass, and the tokens of its result.
#include <algorithm>
#include <utility>

#include "pie/sampler.h"

namespace inferlet {

Result<void> Sampler::request_rules(const ForwardPass& pass, std::span<const uint32_t> indices,
                                    const std::optional<TokenHistory>& before) const {
  if (has_penalty_) {
    if (!before) return fail("[sampler] got no history, expected the tokens to penalise");
    const size_t count = std::min(penalised_, before->tokens.size());
    if (auto done = logits::penalize(pass, indices, before->tokens.last(count), penalty_); !done)
      return done;
  }
  if (!biased_.empty()) {
    if (auto done = logits::bias(pass, indices, biased_, biases_); !done) return done;
  }
  for (const SetRule& rule : sets_) {
    auto done = rule.use == SetRule::Use::kAllow ? logits::allow(pass, indices, *rule.tokens)
                                                 : logits::forbid(pass, indices, *rule.tokens);
    if (!done) return done;
  }
  return {};
}

Result<void> Sampler::request_token(const ForwardPass& pass, std::span<const uint32_t> indices,
                                    const std::optional<TokenHistory>& before) const {
  Sampling sampling = sampling_;
  if (seed_) {
    if (!before) return fail("[sampler] got a seed and no history, expected the token's position");
    sampling.draw = SeededDraw{*seed_, before->position};
  }
  if (mirostat_) sampling.surprise_max = mirostat_->surprise_max;
  return logits::output_tokens(pass, indices, sampling);
}

Result<void> Sampler::request(const ForwardPass& pass, std::span<const uint32_t> indices,
                              const std::optional<TokenHistory>& before) const {
  const abi::Handle handle = pass.handle();
  const uint32_t* data = indices.data();
  const auto size = static_cast<uint32_t>(indices.size());
  const Sampling& how = sampling_;
  if (!mistake_.empty()) return fail(mistake_);
  if (kind_ == Kind::kLogits && (has_penalty_ || !biased_.empty() || !sets_.empty()))
    return fail("[sampler] got rules over raw logits, expected none: raw logits are the model's");
  if (auto done = request_rules(pass, indices, before); !done) return done;
  switch (kind_) {
    case Kind::kPlain: abi::output_tokens(handle, data, size, how.temperature); break;
    case Kind::kTopP:
      abi::output_tokens_top_p(handle, data, size, how.temperature, how.top_p);
      break;
    case Kind::kTopK:
      abi::output_tokens_top_k(handle, data, size, how.temperature, how.top_k);
      break;
    case Kind::kMinP:
      abi::output_tokens_min_p(handle, data, size, how.temperature, how.min_p);
      break;
    case Kind::kTopKTopP:
      abi::output_tokens_top_k_top_p(handle, data, size, how.temperature, how.top_k, how.top_p);
      break;
    case Kind::kEverything: return request_token(pass, indices, before);
    case Kind::kCustom:
      abi::output_distributions(handle, data, size, how.temperature, how.top_k != 0, how.top_k);
      break;
    case Kind::kLogits: return logits::output_logits(pass, indices, 0);
  }
  return {};
}

Result<uint32_t> Sampler::take(const PassResult& result) const {
  return Draws(*this, result).at(0);
}

Draws::Draws(const Sampler& sampler, const PassResult& result) : sampler_(sampler) {
  using Kind = Sampler::Kind;
  const auto take = [](auto all, auto& into) {
    if (all) into = std::move(*all);
  };
  if (sampler.kind_ == Kind::kLogits) {
    take(logits::rows(result), logits_);
  } else if (sampler.kind_ == Kind::kCustom) {
    take(result.distributions(), distributions_);
  } else {
    take(result.tokens(), tokens_);
    if (sampler.mirostat_) take(logits::token_details(result), details_);
  }
}

Result<uint32_t> Draws::at(size_t row) {
  if (row < logits_.size()) return sampler_.choose_by_logits_(logits_[row].values);
  if (row < distributions_.size()) {
    if (sampler_.choose_) return sampler_.choose_(distributions_[row]);
    return fail("[sampler] got a distribution sampler, expected one that chooses");
  }
  if (row >= tokens_.size()) return fail("[sampler] the pass gave no token");
  if (sampler_.mirostat_) {
    if (row >= details_.size()) return fail("[sampler] the pass gave no surprise");
    Sampler::Mirostat& state = *sampler_.mirostat_;
    state.surprise_max =
        std::max(state.surprise_max - state.rate * (details_[row].surprise - state.target),
                 Sampler::kSurpriseMin);
  }
  return tokens_[row];
}

}  // namespace inferlet
