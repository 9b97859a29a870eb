#include "engine/commands/check_pass.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/content.h"

namespace pie::engine {
namespace {

Error invalid(std::string message) {
  return Error{ErrorCode::kInvalidArgument, std::move(message)};
}

Result<void> validate_cache(const ForwardPass& pass, const EngineLimits& limits) {
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
Result<void> validate_written(const ForwardPass& pass, const EngineLimits& limits) {
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

Result<void> validate_index(uint32_t index, size_t input_count) {
  if (index < input_count) return {};
  return invalid(fmt::format("[execute] got output index {}, expected < {} (inputs of this pass)",
                             index, input_count));
}

/// Indices within the inputs, and not too many outputs at one of them.
Result<void> validate_outputs(const ForwardPass& pass) {
  const size_t count = pass.inputs.size();
  std::vector<uint8_t> asked(count);
  const auto add = [&](uint32_t index) -> Result<void> {
    PIE_TRY(validate_index(index, count));
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

std::vector<uint32_t> unique_rows(std::vector<uint32_t> rows) {
  std::sort(rows.begin(), rows.end());
  rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  return rows;
}

}  // namespace

Error unmapped_error(std::string_view call, std::string_view kind, uint32_t pointer) {
  return invalid(
      fmt::format("[{}] got {} pointer {}, expected one that this instance has allocated", call,
                  kind, pointer));
}

Result<ResourceType> parse_resource_type(std::string_view call, uint32_t resource_type) {
  switch (resource_type) {
    case static_cast<uint32_t>(ResourceType::kKvPage): return ResourceType::kKvPage;
    case static_cast<uint32_t>(ResourceType::kEmbedding): return ResourceType::kEmbedding;
    case static_cast<uint32_t>(ResourceType::kAdapter):
      return Error{ErrorCode::kUnsupported,
                   fmt::format("[{}] got resource type 2 (adapter), expected 0 (KV page) or 1 "
                               "(embedding slot): adapters are not served",
                               call)};
    default:
      return invalid(
          fmt::format("[{}] got resource type {}, expected 0 (KV page), 1 (embedding "
                      "slot) or 2 (adapter)",
                      call, resource_type));
  }
}

Result<void> validate_pass(const ForwardPass& pass, const EngineLimits& limits) {
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
  PIE_TRY(validate_cache(pass, limits));
  if (pass.mask && pass.mask->size() != count) {
    return invalid(fmt::format("[execute] got {} attention mask rows, expected {} (one per input)",
                               pass.mask->size(), count));
  }
  PIE_TRY(validate_outputs(pass));
  return validate_written(pass, limits);
}

std::unique_ptr<PendingPass> take_pass(ForwardPass& pass, ForwardCallback done,
                                       const EngineLimits& limits, uint32_t domain) {
  auto pending = std::make_unique<PendingPass>();
  pending->shape.token_count = static_cast<uint32_t>(pass.inputs.size());
  if (!pass.pages.empty()) {
    const auto length =
        static_cast<uint32_t>((pass.pages.size() - 1) * limits.page_size + pass.last_page_len);
    pending->shape.context_len = length - pending->shape.token_count;
  }
  pending->tokens.reserve(pass.inputs.size());
  for (const PassInput& input : pass.inputs) {
    pending->tokens.push_back({.id = input.token, .position = input.position});
  }
  simplify_mask(pass, pending->shape.context_len);
  pending->shape.content = content_of(pass, pending->shape.context_len, domain);
  if (pass.mask) pending->mask = std::move(*pass.mask);
  std::vector<uint32_t> rows;
  for (const TokenSlot& slot : pass.tokens) rows.push_back(slot.index);
  for (const DistributionSlot& slot : pass.distributions) rows.push_back(slot.index);
  pending->logit_rows = unique_rows(std::move(rows));
  rows = {};
  for (const EmbeddingOutput& output : pass.embeddings) rows.push_back(output.index);
  pending->hidden_rows = unique_rows(std::move(rows));
  pending->shape.must_compute = pending->shape.token_count;
  for (const auto* asked : {&pending->logit_rows, &pending->hidden_rows}) {
    if (!asked->empty())
      pending->shape.must_compute = std::min(pending->shape.must_compute, asked->front());
  }
  pending->output.tokens.resize(pass.tokens.size());
  pending->output.distributions.resize(pass.distributions.size());
  pending->token_slots = std::move(pass.tokens);
  pending->distribution_slots = std::move(pass.distributions);
  pending->done = std::move(done);
  return pending;
}

}  // namespace pie::engine
