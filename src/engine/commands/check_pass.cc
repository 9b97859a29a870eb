#include "engine/commands/check_pass.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace pie::engine {
namespace {

Error invalid(std::string message) {
  return Error{ErrorCode::kInvalidArgument, std::move(message)};
}

Result<void> check_cache(const ForwardPass& pass, const EngineLimits& limits) {
  const uint64_t pool_tokens = uint64_t{limits.page_count} * limits.page_size;
  if (pass.pages.empty()) {
    if (pass.inputs.size() <= std::max<uint64_t>(pool_tokens, limits.step_tokens_max)) return {};
    return Error{ErrorCode::kResourceExhausted,
                 fmt::format("[execute] got a pass of {} tokens without cache, expected at most {}",
                             pass.inputs.size(), pool_tokens)};
  }
  if (pass.pages.size() > limits.page_count)
    return invalid(fmt::format("[execute] got {} KV pages, expected at most the {} of the pool",
                               pass.pages.size(), limits.page_count));
  if (pass.last_page_len == 0 || pass.last_page_len > limits.page_size) {
    return invalid(fmt::format("[execute] got last-kv-page-len {}, expected 1 to {}",
                               pass.last_page_len, limits.page_size));
  }
  const uint64_t length = (uint64_t{pass.pages.size()} - 1) * limits.page_size + pass.last_page_len;
  if (length < pass.inputs.size()) {
    return invalid(fmt::format(
        "[execute] got {} KV pages that hold {} tokens, expected room for this pass's {} tokens",
        pass.pages.size(), length, pass.inputs.size()));
  }
  if (length > UINT32_MAX) {
    return invalid(fmt::format("[execute] got a sequence of {} tokens, expected at most {}", length,
                               UINT32_MAX));
  }
  return {};
}

/// A page that the pass writes may occur once only: two tokens would share a cache slot.
Result<void> check_written(const ForwardPass& pass, const EngineLimits& limits) {
  if (pass.pages.empty()) return {};
  const size_t length = (pass.pages.size() - 1) * limits.page_size + pass.last_page_len;
  const size_t first = (length - pass.inputs.size()) / limits.page_size;
  std::vector<VirtualPage> written(pass.pages.begin() + static_cast<ptrdiff_t>(first),
                                   pass.pages.end());
  std::sort(written.begin(), written.end());
  auto twice = std::adjacent_find(written.begin(), written.end());
  for (size_t i = 0; i < first && twice == written.end(); ++i) {
    const auto at = std::lower_bound(written.begin(), written.end(), pass.pages[i]);
    if (at != written.end() && *at == pass.pages[i]) twice = at;
  }
  if (twice == written.end()) return {};
  return invalid(fmt::format(
      "[execute] got KV page pointer {} twice, expected once: this pass writes to that page",
      twice->value));
}

Result<void> check_index(uint32_t index, size_t input_count) {
  if (index < input_count) return {};
  return invalid(fmt::format("[execute] got output index {}, expected < {} (inputs of this pass)",
                             index, input_count));
}

/// Indices within the inputs, and not too many outputs at one of them.
Result<void> check_outputs(const ForwardPass& pass) {
  const size_t count = pass.inputs.size();
  std::vector<uint8_t> asked(count);
  const auto add = [&](uint32_t index) -> Result<void> {
    PIE_TRY(check_index(index, count));
    if (asked[index]++ < kOutputsPerIndexMax) return {};
    return invalid(
        fmt::format("[execute] got more than {} outputs at index {}, expected at most "
                    "that many: ask for the others in a further pass",
                    kOutputsPerIndexMax, index));
  };
  for (const TokenSlot& slot : pass.tokens) PIE_TRY(add(slot.index));
  for (const DistributionSlot& slot : pass.distributions) PIE_TRY(add(slot.index));
  for (const EmbeddingOutput& output : pass.embeddings) PIE_TRY(add(output.index));
  for (const LogitSlot& slot : pass.logits) PIE_TRY(add(slot.index));
  for (const ScoreSlot& slot : pass.scores) PIE_TRY(add(slot.index));
  for (const uint32_t index : pass.entropies) PIE_TRY(add(index));
  return {};
}

Result<void> check_token(TokenId token, const EngineLimits& limits) {
  if (token < limits.vocab_size) return {};
  return invalid(fmt::format("[execute] got token id {}, expected < {}", token, limits.vocab_size));
}

Result<void> check_scores(const ForwardPass& pass, const EngineLimits& limits) {
  for (const ScoreSlot& slot : pass.scores) {
    if (slot.tokens.size() > limits.vocab_size)
      return invalid(
          fmt::format("[execute] got {} tokens to score at index {}, expected at most {}",
                      slot.tokens.size(), slot.index, limits.vocab_size));
    for (const TokenId token : slot.tokens) PIE_TRY(check_token(token, limits));
  }
  return {};
}

/// What a rule says of each token is within bounds, and it leaves a token to draw.
Result<void> check_rules(const sample::LogitRules& rules, const EngineLimits& limits) {
  const size_t words_max = (size_t{limits.vocab_size} + 31) / 32;
  if (std::max(rules.penalties.size(), rules.bias.size()) > limits.vocab_size)
    return invalid(
        fmt::format("[execute] got {} penalties and {} biases at one index, expected at most {}",
                    rules.penalties.size(), rules.bias.size(), limits.vocab_size));
  if (rules.allowed.size() > words_max)
    return invalid(fmt::format("[execute] got a mask of {} words of 32 tokens, expected at most {}",
                               rules.allowed.size(), words_max));
  if (!rules.allows_any(limits.vocab_size))
    return invalid("[execute] got a mask that allows no token, expected at least one");
  for (const sample::LogitRules::Penalty& one : rules.penalties) {
    PIE_TRY(check_token(one.token, limits));
    if (std::isfinite(one.divisor) && one.divisor > 0 && std::isfinite(one.subtrahend)) continue;
    return invalid(
        fmt::format("[execute] got a penalty of {} and {} for token {}, expected a "
                    "finite number above 0 and a finite one",
                    one.divisor, one.subtrahend, one.token));
  }
  for (const auto& [token, value] : rules.bias) {
    PIE_TRY(check_token(token, limits));
    if (!std::isfinite(value))
      return invalid(fmt::format("[execute] got a bias of {} for token {}, expected a finite one",
                                 value, token));
  }
  return {};
}

/// At most one for an input. What several share is looked at once.
Result<void> check_ruled(const ForwardPass& pass, const EngineLimits& limits) {
  if (pass.rules.empty()) return {};
  std::vector<bool> is_ruled(pass.inputs.size());
  std::set<const sample::LogitRules*> seen;
  for (const RowRules& one : pass.rules) {
    PIE_TRY(check_index(one.index, pass.inputs.size()));
    if (is_ruled[one.index])
      return invalid(
          fmt::format("[execute] got two rules for index {}, expected at most one", one.index));
    is_ruled[one.index] = true;
    if (one.rules == nullptr || !seen.insert(one.rules.get()).second) continue;
    PIE_TRY(check_rules(*one.rules, limits));
  }
  return {};
}

}  // namespace

Result<void> check_pass(const ForwardPass& pass, const EngineLimits& limits) {
  const size_t count = pass.inputs.size();
  if (count == 0) return invalid("[execute] got no inputs, expected at least one token");
  if (count > UINT32_MAX) {
    return invalid(fmt::format("[execute] got {} inputs, expected at most {}", count, UINT32_MAX));
  }
  for (const PassInput& input : pass.inputs) {
    if (!input.embedding_slot) PIE_TRY(check_token(input.token, limits));
  }
  PIE_TRY(check_cache(pass, limits));
  if (pass.mask && pass.mask->size() != count) {
    return invalid(fmt::format("[execute] got {} attention mask rows, expected {} (one per input)",
                               pass.mask->size(), count));
  }
  PIE_TRY(check_outputs(pass));
  PIE_TRY(check_scores(pass, limits));
  PIE_TRY(check_ruled(pass, limits));
  return check_written(pass, limits);
}

}  // namespace pie::engine
