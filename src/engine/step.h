#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "engine/commands/pass.h"
#include "engine/embedding_store.h"
#include "exec/executor.h"
#include "sample/sampler.h"
#include "sched/command.h"

namespace pie::engine {

/// A chunk of the plan with the pass it belongs to.
struct StepPart {
  const sched::Chunk* chunk;
  PassCommand* pass;
};

/// Builds the executor's batch for a step. Reads embedding slots; the batch refers to the passes,
/// the plan and the store, none of which may change while it is in use.
exec::StepBatch build_batch(std::span<const StepPart> parts, const EmbeddingStore& embeddings);

/// Takes what the step gave into the passes: draws tokens, ranks distributions, fills embedding
/// slots. Returns how many rows of logits were used.
class OutputCollector {
 public:
  OutputCollector(uint64_t seed, uint32_t vocab_size, uint32_t embedding_size)
      : seed_(seed), vocab_size_(vocab_size), embedding_size_(embedding_size) {}

  /// Passes are looked after side by side, on the executor's threads. kResourceExhausted when the
  /// machine has no memory for that; it may be called again then.
  Result<uint32_t> collect(std::span<const StepPart> parts, const exec::StepOutput& output,
                           EmbeddingStore& embeddings, exec::Executor& executor);

 private:
  /// A part and where its rows begin in the output.
  struct Rows {
    const StepPart* part;
    std::span<const uint32_t> logit_rows;
    const float* logits;
  };
  void sample(const Rows& rows, sample::Sampler& sampler) const;

  const uint64_t seed_;
  const uint32_t vocab_size_;
  const uint32_t embedding_size_;
  std::vector<sample::Sampler> samplers_;  ///< per thread of the executor
  std::vector<Rows> rows_;                 ///< of the step in hand
};

/// What became of a step.
struct StepOutcome {
  std::vector<Result<void>> parts;
  uint32_t generated = 0;  ///< rows of logits that were used
};

/// Computes steps. Thread: engine.
class StepComputer {
 public:
  StepComputer(exec::Executor& executor, uint64_t seed, uint32_t vocab_size,
               uint32_t embedding_size)
      : executor_(executor), collector_(seed, vocab_size, embedding_size) {}

  /// What became of each part: when a step fails, its members go one at a time, so that only those
  /// fail for whom there is no other way.
  StepOutcome compute(std::span<const StepPart> parts, EmbeddingStore& embeddings);

 private:
  Result<uint32_t> compute_together(std::span<const StepPart> parts, EmbeddingStore& embeddings);

  exec::Executor& executor_;
  OutputCollector collector_;
};

}  // namespace pie::engine
