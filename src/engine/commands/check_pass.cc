#include "engine/commands/check_pass.h"

#include <fmt/format.h>

#include <algorithm>

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
    if (input.embedding_slot || input.token < limits.vocab_size) continue;
    return invalid(
        fmt::format("[execute] got token id {}, expected < {}", input.token, limits.vocab_size));
  }
  PIE_TRY(check_cache(pass, limits));
  if (pass.mask && pass.mask->size() != count) {
    return invalid(fmt::format("[execute] got {} attention mask rows, expected {} (one per input)",
                               pass.mask->size(), count));
  }
  PIE_TRY(check_outputs(pass));
  return check_written(pass, limits);
}

}  // namespace pie::engine
