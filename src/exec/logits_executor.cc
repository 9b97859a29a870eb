#include "exec/logits_executor.h"

#include <algorithm>
#include <atomic>
#include <new>
#include <utility>

#include "base/check.h"

namespace pie::exec {
namespace {

/// Rows of equal width, as many as were asked for.
size_t width_of(std::span<const float> rows, size_t count) {
  PIE_CHECK(count == 0 ? rows.empty() : rows.size() % count == 0);
  return count == 0 ? 0 : rows.size() / count;
}

/// The logits of a row of the slice.
std::span<const float> row_at(const StepSlice& slice, std::span<const float> logits, uint32_t row) {
  const auto at = std::lower_bound(slice.logit_rows.begin(), slice.logit_rows.end(), row);
  PIE_CHECK(at != slice.logit_rows.end() && *at == row);
  const size_t width = logits.size() / slice.logit_rows.size();
  return logits.subspan(static_cast<size_t>(at - slice.logit_rows.begin()) * width, width);
}

void answer_slice(const StepSlice& slice, std::span<const float> logits, sample::Sampler& sampler,
                  SliceResult& result) {
  result.tokens.reserve(slice.token_requests.size());
  for (const TokenRequest& request : slice.token_requests) {
    result.tokens.push_back(sampler.draw(row_at(slice, logits, request.row), request.sampler,
                                         sample::uniform(request.key)));
  }
  result.distributions.reserve(slice.distribution_requests.size());
  for (const DistributionRequest& request : slice.distribution_requests) {
    result.distributions.push_back(
        sampler.rank(row_at(slice, logits, request.row), request.temperature, request.top_k));
  }
}

}  // namespace

Result<void> LogitsExecutor::answer(const StepBatch& batch, const StepOutput& output,
                                    StepResults& results) {
  size_t logit_count = 0;
  size_t hidden_count = 0;
  for (const StepSlice& slice : batch.slices) {
    logit_count += slice.logit_rows.size();
    hidden_count += slice.hidden_rows.size();
  }
  const size_t logit_width = width_of(output.logits, logit_count);
  const size_t hidden_width = width_of(output.hidden, hidden_count);
  std::span<const float> logits = output.logits;
  std::span<const float> hidden = output.hidden;
  const auto take = [](std::span<const float>& rest, size_t size) {
    const std::span<const float> taken = rest.first(size);
    rest = rest.subspan(size);
    return taken;
  };
  asked_.clear();
  for (size_t i = 0; i < batch.slices.size(); ++i) {
    const StepSlice& slice = batch.slices[i];
    const auto rows = take(logits, slice.logit_rows.size() * logit_width);
    results[i].hidden = take(hidden, slice.hidden_rows.size() * hidden_width);
    if (!slice.token_requests.empty() || !slice.distribution_requests.empty())
      asked_.push_back({&slice, rows, &results[i]});
  }
  samplers_.resize(std::max(config().thread_count, 1U));
  std::atomic<bool> lacks_memory = false;
  for_each(static_cast<uint32_t>(asked_.size()), [&](uint32_t thread, uint32_t i) {
    try {
      answer_slice(*asked_[i].slice, asked_[i].logits, samplers_[thread], *asked_[i].result);
    } catch (const std::bad_alloc&) {
      lacks_memory = true;
    }
  });
  if (!lacks_memory) return {};
  return Error{ErrorCode::kResourceExhausted, "[step] got no memory to draw the step's tokens"};
}

Result<StepTicket> LogitsExecutor::submit(const StepBatch& batch) {
  PIE_TRY_ASSIGN(const StepOutput output, execute(batch));
  results_.emplace(batch.slices.size());
  PIE_TRY(answer(batch, output, *results_));
  return StepTicket{++last_.value};
}

Result<StepResults> LogitsExecutor::collect(StepTicket ticket) {
  PIE_CHECK(ticket == last_ && results_.has_value());
  return *std::exchange(results_, std::nullopt);
}

}  // namespace pie::exec
