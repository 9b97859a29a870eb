#include "host/pass_result.h"

namespace pie::host {

void PassResult::reserve_output(const engine::ForwardPass& pass) {
  uint64_t bytes = pass.tokens.size() * sizeof(TokenId);
  for (const engine::DistributionSlot& slot : pass.distributions)
    bytes +=
        sizeof(engine::Distribution) + uint64_t{slot.top_k} * (sizeof(TokenId) + sizeof(float));
  output_.add(bytes);
}

void PassResult::complete(engine::ForwardOutput output) {
  values_ = std::move(output);
  pass_.release();
  fire();
}

std::vector<TokenId> PassResult::take_tokens() {
  std::vector<TokenId> taken = std::exchange(values_.tokens, {});
  release_if_taken();
  return taken;
}

std::vector<engine::Distribution> PassResult::take_distributions() {
  std::vector<engine::Distribution> taken = std::exchange(values_.distributions, {});
  release_if_taken();
  return taken;
}

void PassResult::release_if_taken() {
  if (values_.tokens.empty() && values_.distributions.empty()) output_.release();
}

}  // namespace pie::host
