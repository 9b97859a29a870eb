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
    add_parts(slice, rows, results[i], asked_);
  }
  answerers_.resize(std::max(config().thread_count, 1U));
  std::atomic<bool> lacks_memory = false;
  for_each(static_cast<uint32_t>(asked_.size()), [&](uint32_t thread, uint32_t i) {
    try {
      answerers_[thread].answer(asked_[i]);
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
