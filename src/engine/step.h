#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "engine/commands/pass.h"
#include "engine/embedding_store.h"
#include "exec/executor.h"
#include "sched/command.h"

namespace pie::engine {

/// A chunk of the plan with the pass it belongs to.
struct StepPart {
  const sched::PassChunk* chunk;
  PassCommand* pass;
};

/// What became of a step.
struct StepOutcome {
  std::vector<Result<void>> parts;
  uint32_t generated = 0;  ///< rows of logits that were used
};

/// Has the executor compute steps: a batch out of the plan; tokens, distributions and embeddings
/// into the passes. Thread: engine.
class StepComputer {
 public:
  /// `seed`: of all draws.
  StepComputer(exec::Executor& executor, EmbeddingStore& embeddings, uint64_t seed,
               uint32_t embedding_size)
      : executor_(executor), embeddings_(embeddings), seed_(seed), width_(embedding_size) {}

  /// What became of each part: when a step fails, its members go one at a time, so that only those
  /// fail for whom there is no other way.
  StepOutcome compute(std::span<const StepPart> parts);

 private:
  Result<uint32_t> compute_together(std::span<const StepPart> parts);
  /// The batch refers to the passes, the plan and the embeddings, none of which may change while it
  /// is in use.
  exec::StepBatch build_batch(std::span<const StepPart> parts) const;
  exec::StepSlice build_slice(const StepPart& part) const;
  void take(const StepPart& part, exec::SliceResult& result);

  exec::Executor& executor_;
  EmbeddingStore& embeddings_;
  const uint64_t seed_;
  const uint32_t width_;  // of an embedding
};

}  // namespace pie::engine
