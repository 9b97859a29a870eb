#include "engine/step.h"

#include <algorithm>
#include <atomic>
#include <new>

#include "base/check.h"
#include "base/log.h"
#include "sample/random.h"

namespace pie::engine {
namespace {

/// The rows of a pass that lie in the chunk, as indices of the pass.
std::span<const uint32_t> rows_in(std::span<const uint32_t> rows, const sched::Chunk& chunk) {
  const auto first = std::lower_bound(rows.begin(), rows.end(), chunk.first_token);
  const auto end = std::lower_bound(first, rows.end(), chunk.first_token + chunk.token_count);
  return {first, end};
}

bool contains(const sched::Chunk& chunk, uint32_t index) {
  return index >= chunk.first_token && index - chunk.first_token < chunk.token_count;
}

size_t row_of(std::span<const uint32_t> rows, uint32_t index) {
  return static_cast<size_t>(std::lower_bound(rows.begin(), rows.end(), index) - rows.begin());
}

std::vector<uint32_t> relative(std::span<const uint32_t> rows, uint32_t first) {
  std::vector<uint32_t> result(rows.begin(), rows.end());
  for (uint32_t& row : result) row -= first;
  return result;
}

}  // namespace

exec::StepBatch build_batch(std::span<const StepPart> parts, const EmbeddingStore& embeddings) {
  exec::StepBatch batch;
  batch.slices.reserve(parts.size());
  for (const auto& [chunk, pass] : parts) {
    const uint32_t first = chunk->first_token;
    const uint32_t count = chunk->token_count;
    for (uint32_t i = first; i < first + count && !pass->input_slots.empty(); ++i) {
      if (const auto& slot = pass->input_slots[i]) {
        pass->tokens[i].embedding = embeddings.read(*slot);
      }
    }
    exec::StepSlice slice;
    slice.tokens = std::span(pass->tokens).subspan(first, count);
    slice.pages = chunk->pages;
    slice.context_len = chunk->context_len;
    if (!pass->mask.empty()) slice.mask = std::span(pass->mask).subspan(first, count);
    slice.logit_rows = relative(rows_in(pass->logit_rows, *chunk), first);
    slice.hidden_rows = relative(rows_in(pass->hidden_rows, *chunk), first);
    batch.slices.push_back(std::move(slice));
  }
  return batch;
}

void OutputCollector::sample(const Rows& rows, sample::Sampler& sampler) const {
  const StepPart& part = *rows.part;
  PassCommand& pass = *part.pass;
  const auto row_at = [&](uint32_t index) {
    return std::span(rows.logits + row_of(rows.logit_rows, index) * vocab_size_, vocab_size_);
  };
  for (size_t i = 0; i < pass.token_slots.size(); ++i) {
    const TokenSlot& slot = pass.token_slots[i];
    if (!contains(*part.chunk, slot.index)) continue;
    const double uniform = sample::uniform({seed_, pass.instance.value, pass.number, i});
    pass.output.tokens[i] = sampler.draw(row_at(slot.index), slot.sampler, uniform);
  }
  for (size_t i = 0; i < pass.distribution_slots.size(); ++i) {
    const DistributionSlot& slot = pass.distribution_slots[i];
    if (!contains(*part.chunk, slot.index)) continue;
    sample::Ranking ranking = sampler.rank(row_at(slot.index), slot.temperature, slot.top_k);
    pass.output.distributions[i] = {std::move(ranking.ids), std::move(ranking.probabilities)};
  }
}

Result<uint32_t> OutputCollector::collect(std::span<const StepPart> parts,
                                          const exec::StepOutput& output,
                                          EmbeddingStore& embeddings, exec::Executor& executor) {
  size_t logit_row = 0;
  size_t hidden_row = 0;
  rows_.clear();
  for (const StepPart& part : parts) {
    const auto logit_rows = rows_in(part.pass->logit_rows, *part.chunk);
    const auto hidden_rows = rows_in(part.pass->hidden_rows, *part.chunk);
    PIE_CHECK((logit_row + logit_rows.size()) * vocab_size_ <= output.logits.size());
    PIE_CHECK((hidden_row + hidden_rows.size()) * embedding_size_ <= output.hidden.size());
    if (!logit_rows.empty()) {
      rows_.push_back({&part, logit_rows, output.logits.data() + logit_row * vocab_size_});
    }
    for (const PassCommand::EmbeddingTarget& target : part.pass->embedding_targets) {
      if (!contains(*part.chunk, target.index)) continue;
      const size_t row = hidden_row + row_of(hidden_rows, target.index);
      embeddings.write(target.slot, output.hidden.subspan(row * embedding_size_, embedding_size_));
    }
    logit_row += logit_rows.size();
    hidden_row += hidden_rows.size();
  }
  samplers_.resize(std::max(executor.config().thread_count, 1U));
  std::atomic<bool> lacks_memory = false;
  executor.for_each(static_cast<uint32_t>(rows_.size()), [&](uint32_t thread, uint32_t i) {
    try {
      sample(rows_[i], samplers_[thread]);
    } catch (const std::bad_alloc&) {
      lacks_memory = true;
    }
  });
  if (lacks_memory)
    return Error{ErrorCode::kResourceExhausted, "[step] got no memory to draw the step's tokens"};
  return static_cast<uint32_t>(logit_row);
}

/// What the machine refuses is an error.
Result<uint32_t> StepComputer::compute_together(std::span<const StepPart> parts,
                                                EmbeddingStore& embeddings) {
  try {
    PIE_TRY_ASSIGN(const exec::StepOutput output,
                   executor_.execute(build_batch(parts, embeddings)));
    return collector_.collect(parts, output, embeddings, executor_);
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::kResourceExhausted,
                 "[step] got no memory from the machine, expected enough for the pass: run fewer "
                 "instances at once, or serve with fewer KV pages"};
  }
}

StepOutcome StepComputer::compute(std::span<const StepPart> parts, EmbeddingStore& embeddings) {
  StepOutcome outcome{.parts = std::vector<Result<void>>(parts.size())};
  const Result<uint32_t> together = compute_together(parts, embeddings);
  if (together.ok()) {
    outcome.generated = *together;
    return outcome;
  }
  log::error("engine: a step of {} passes failed: {}", parts.size(), together.error().message);
  for (size_t i = 0; i < parts.size(); ++i) {
    const Result<uint32_t> alone =
        parts.size() == 1 ? together : compute_together(parts.subspan(i, 1), embeddings);
    if (alone.ok()) {
      outcome.generated += *alone;
    } else {
      outcome.parts[i] = alone.error();
    }
  }
  return outcome;
}

}  // namespace pie::engine
