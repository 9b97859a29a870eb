#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/strong_id.h"
#include "engine/command.h"
#include "engine/forward_pass.h"
#include "exec/executor.h"
#include "kv/pointer_table.h"
#include "sched/command.h"

namespace pie::engine {

/// A forward pass on its way through the engine: checked, its pointers resolved to slots.
class PassCommand final : public Command {
 public:
  void begin(LoopState& loop) override;
  /// All of it was computed before, and nothing is asked of it.
  Completion complete(LoopState& loop) override;
  void cancel(LoopState& loop, Cancelled why) override;

  /// The scheduler is done with it: what it names is its no more.
  void let_go(LoopState& loop) const;
  /// After let_go(): what became of it.
  void answer(LoopState& loop, Result<ForwardOutput> result) const;

  /// Whether the program waits for what the pass gives.
  bool has_result() const {
    return !token_slots.empty() || !distribution_slots.empty() || !logit_slots.empty() ||
           !score_slots.empty() || !entropy_rows.empty();
  }

  uint64_t number = 0;  ///< the how-manieth pass of its instance: part of the samplers' seed
  sched::PassShape shape;
  bool has_temporary_pages = false;  ///< shape.pages are this pass's alone and go with it

  model::AdapterRef adapter;  ///< may be null
  std::vector<exec::StepToken> tokens;
  std::vector<std::optional<kv::SlotId>> input_slots;  ///< empty, or per token its embedding slot
  std::vector<exec::MaskRuns> mask;                    ///< empty, or per token

  std::vector<TokenSlot> token_slots;
  std::vector<DistributionSlot> distribution_slots;
  struct EmbeddingTarget {
    uint32_t index = 0;
    kv::SlotId slot;
  };
  std::vector<EmbeddingTarget> embedding_targets;
  std::vector<RowRules> rules;  ///< by index
  std::vector<LogitSlot> logit_slots;
  std::vector<ScoreSlot> score_slots;
  std::vector<uint32_t> entropy_rows;
  std::vector<uint32_t> logit_rows;        ///< token indices that need logits, ascending, unique
  std::vector<uint32_t> hidden_rows;       ///< likewise for hidden states
  std::vector<kv::SlotId> embedding_pins;  ///< every embedding slot that the pass names
  std::vector<kv::SlotId> page_pins;       ///< every page's slot, likewise

  ForwardCallback done;
  ForwardOutput output;  ///< filled chunk by chunk
};

/// Takes out a pass that ends; the caller lets it go and answers it.
std::unique_ptr<PassCommand> end_pass(LoopState& loop, sched::CommandId id);

}  // namespace pie::engine
