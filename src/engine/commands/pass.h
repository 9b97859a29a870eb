#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "base/strong_id.h"
#include "engine/forward_pass.h"
#include "exec/executor.h"
#include "kv/pointer_table.h"
#include "sched/command.h"

namespace pie::engine {

/// A forward pass on its way through the engine: validated, its pointers resolved to slots.
struct PendingPass {
  InstanceId instance;
  uint64_t number = 0;  ///< the how-manieth pass of its instance: part of the samplers' seed
  sched::PassShape shape;
  bool temporary_pages = false;  ///< shape.pages are this pass's alone and go with it

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
  std::vector<uint32_t> logit_rows;        ///< token indices that need logits, ascending, unique
  std::vector<uint32_t> hidden_rows;       ///< likewise for hidden states
  std::vector<kv::SlotId> embedding_pins;  ///< every embedding slot that the pass names
  std::vector<kv::SlotId> page_pins;       ///< every page's slot, likewise

  ForwardCallback done;
  ForwardOutput output;  ///< filled chunk by chunk

  /// Whether the program waits for what the pass gives.
  bool has_result() const { return !token_slots.empty() || !distribution_slots.empty(); }
};

}  // namespace pie::engine
