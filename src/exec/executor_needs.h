#pragma once
#include <cstdint>

#include "exec/executor.h"
#include "model/model.h"

namespace pie::exec {

/// What an executor takes of the machine's memory for a model, in bytes.
struct ExecutorNeeds {
  uint64_t weights = 0;     ///< as the executor keeps them
  uint64_t page = 0;        ///< one KV page
  uint64_t step_token = 0;  ///< what a step computes with, for each of its tokens

  /// All that a step of so many tokens takes, at most.
  uint64_t step_bytes(uint32_t tokens) const;
  /// How large the page pool can be with so many bytes.
  uint32_t pages_within(uint64_t bytes) const;
};

/// Of executors that have all of it in the machine's memory, with pages of the default size.
ExecutorNeeds needs_of_memory(const model::Model& model, KvFormat format);

}  // namespace pie::exec
