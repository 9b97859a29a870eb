#include "pie/sampler.h"

#include <utility>

namespace inferlet {

Sampler Sampler::multinomial(float temperature) { return Sampler(Kind::kPlain, temperature); }

Sampler Sampler::top_p(float temperature, float top_p) {
  Sampler sampler(Kind::kTopP, temperature);
  sampler.p_ = top_p;
  return sampler;
}

Sampler Sampler::top_k(float temperature, uint32_t top_k) {
  Sampler sampler(Kind::kTopK, temperature);
  sampler.top_k_ = top_k;
  return sampler;
}

Sampler Sampler::min_p(float temperature, float min_p) {
  Sampler sampler(Kind::kMinP, temperature);
  sampler.p_ = min_p;
  return sampler;
}

Sampler Sampler::top_k_top_p(float temperature, uint32_t top_k, float top_p) {
  Sampler sampler(Kind::kTopKTopP, temperature);
  sampler.top_k_ = top_k;
  sampler.p_ = top_p;
  return sampler;
}

Sampler Sampler::custom(float temperature, uint32_t top_k, Choose choose) {
  Sampler sampler(Kind::kCustom, temperature);
  sampler.top_k_ = top_k;
  sampler.choose_ = std::move(choose);
  return sampler;
}

Sampler Sampler::distribution(float temperature, uint32_t top_k) {
  return custom(temperature, top_k, nullptr);
}

void Sampler::request(const ForwardPass& pass, uint32_t index) const {
  const abi::Handle handle = pass.handle();
  switch (kind_) {
    case Kind::kPlain: return abi::output_tokens(handle, &index, 1, temperature_);
    case Kind::kTopP: return abi::output_tokens_top_p(handle, &index, 1, temperature_, p_);
    case Kind::kTopK: return abi::output_tokens_top_k(handle, &index, 1, temperature_, top_k_);
    case Kind::kMinP: return abi::output_tokens_min_p(handle, &index, 1, temperature_, p_);
    case Kind::kTopKTopP:
      return abi::output_tokens_top_k_top_p(handle, &index, 1, temperature_, top_k_, p_);
    case Kind::kCustom:
      return abi::output_distributions(handle, &index, 1, temperature_, top_k_ != 0, top_k_);
  }
}

Result<uint32_t> Sampler::take(const PassResult& result) const {
  if (kind_ == Kind::kCustom) {
    if (!choose_) return fail("[sampler] got a distribution sampler, expected one that chooses");
    const auto distributions = result.distributions();
    if (!distributions || distributions->empty())
      return fail("[sampler] the pass gave no distribution");
    return choose_(distributions->front());
  }
  const auto tokens = result.tokens();
  if (!tokens || tokens->empty()) return fail("[sampler] the pass gave no token");
  return tokens->front();
}

}  // namespace inferlet
