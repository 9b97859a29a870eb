#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/machine.h"
#include "base/result.h"
#include "exec/executor_needs.h"

namespace pie::server {

/// What a model gets.
struct ModelSizes {
  uint32_t step_tokens = 0;  ///< of a step
  uint32_t kv_pages = 0;
};

/// What the configuration says; 0 = to be chosen.
struct WantedSizes {
  uint32_t step_tokens = 0, kv_pages = 0;
};

/// Sizes for all models of a server. What is to be chosen: steps of 512 tokens, fewer where memory
/// is short; for the KV pages half of what is left of the memory that this process can still
/// take, the rest being for programs. What is set is taken, or refused with what bounds it:
/// kResourceExhausted, also when the machine has too little for the models at all.
Result<std::vector<ModelSizes>> choose_sizes(const Machine& machine,
                                             std::span<const exec::ExecutorNeeds> models,
                                             const WantedSizes& wanted);

/// kResourceExhausted when RLIMIT_AS leaves no room for what programs reserve of addresses.
Result<void> check_address_space(const Machine& machine);

/// Threads of a step and of programs: `wanted`, or what the machine has, for programs at most 8.
uint32_t choose_model_threads(const Machine& machine, uint32_t wanted);
uint32_t choose_worker_threads(const Machine& machine, uint32_t wanted);

/// The machine's bounds in a line: memory, cores, open files, each with what sets it.
std::string describe(const Machine& machine);

}  // namespace pie::server
