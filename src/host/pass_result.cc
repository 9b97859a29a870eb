#include "host/pass_result.h"

namespace pie::host {

Result<void> PassResult::reserve_output(const engine::ForwardPass& pass, uint32_t vocab_size) {
  constexpr uint64_t kRankedBytes = sizeof(TokenId) + sizeof(float);
  uint64_t bytes = pass.tokens.size() * (sizeof(TokenId) + sizeof(engine::TokenDetails)) +
                   pass.entropies.size() * sizeof(float);
  for (const engine::DistributionSlot& slot : pass.distributions)
    bytes += sizeof(engine::Distribution) + slot.top_k * kRankedBytes;
  for (const engine::LogitSlot& slot : pass.logits)
    bytes += sizeof(engine::LogitRow) +
             (slot.best == 0 ? vocab_size * sizeof(float) : slot.best * kRankedBytes);
  for (const engine::ScoreSlot& slot : pass.scores)
    bytes += sizeof(ScoredTokens) + slot.tokens.size() * kRankedBytes;
  PIE_TRY(output_.try_add(bytes));
  scored_.reserve(pass.scores.size());
  for (const engine::ScoreSlot& slot : pass.scores) scored_.push_back(slot.tokens);
  return {};
}

void PassResult::complete(engine::ForwardOutput output) {
  values_ = std::move(output);
  pass_.release();
  fire();
}

std::vector<PassResult::ScoredTokens> PassResult::take_scores() {
  std::vector<ScoredTokens> taken;
  taken.reserve(values_.scores.size());
  for (size_t i = 0; i < values_.scores.size() && i < scored_.size(); ++i)
    taken.emplace_back(std::move(scored_[i]), std::move(values_.scores[i]));
  values_.scores.clear();
  scored_.clear();
  release_if_taken();
  return taken;
}

void PassResult::release_if_taken() {
  if (values_.tokens.empty() && values_.distributions.empty() && values_.logits.empty() &&
      values_.scores.empty() && values_.entropies.empty() && values_.details.empty())
    output_.release();
}

}  // namespace pie::host
