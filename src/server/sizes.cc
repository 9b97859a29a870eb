#include "server/sizes.h"

#include <fmt/format.h>

#include <algorithm>

namespace pie::server {
namespace {

constexpr uint32_t kPagesMin = 64;
constexpr uint32_t kStepTokens = 512, kStepTokensMin = 32;
constexpr uint32_t kWorkersMax = 8;
/// Steps may take this part of what the weights leave, and KV pages this one of what steps leave.
constexpr uint64_t kStepShare = 4, kPoolShare = 2;
/// For everything else: store, connections, compiling and running programs.
constexpr uint64_t kServerBytes = uint64_t{40} << 20;

/// Addresses that one program's memory reserves, and what a server needs for a few of them.
constexpr uint64_t kProgramAddresses = uint64_t{4} << 30;
constexpr uint64_t kAddressesMin = 2 * kProgramAddresses;

uint64_t less(uint64_t value, uint64_t used) { return value - std::min(value, used); }
uint64_t mib(uint64_t bytes) { return (bytes + (1 << 20) - 1) >> 20; }

/// Sums over the models of a server.
struct Budget {
  uint64_t weights = 0, steps = 0, least_pages = 0;
  uint64_t fixed() const { return weights + steps + kServerBytes; }
};

Error too_little(const MachineBound& bound, const Budget& budget) {
  return {ErrorCode::kResourceExhausted,
          fmt::format("[memory] got {} MiB that this process can take ({}), expected at least {}: "
                      "{} for weights, {} for steps, {} for {} KV pages a model and {} for the "
                      "server: raise that limit, or serve a smaller model or fewer",
                      bound.value >> 20, bound.by, mib(budget.fixed() + budget.least_pages),
                      mib(budget.weights), mib(budget.steps), mib(budget.least_pages), kPagesMin,
                      mib(kServerBytes))};
}

Error too_many_pages(const MachineBound& bound, const Budget& budget, uint32_t pages,
                     uint64_t bytes) {
  return {ErrorCode::kResourceExhausted,
          fmt::format("[kv_pages] got {} pages = {} MiB, expected at most {} MiB: {} MiB ({}) less "
                      "{} for weights, steps and the server",
                      pages, mib(bytes), less(bound.value, budget.fixed()) >> 20, bound.value >> 20,
                      bound.by, mib(budget.fixed()))};
}

uint32_t choose_step(const exec::ExecutorNeeds& model, uint64_t memory) {
  uint32_t tokens = kStepTokens;
  while (tokens > kStepTokensMin && model.step_bytes(tokens) > memory / kStepShare) tokens /= 2;
  return tokens;
}

}  // namespace

Result<std::vector<ModelSizes>> choose_sizes(const Machine& machine,
                                             std::span<const exec::ExecutorNeeds> models,
                                             const WantedSizes& wanted) {
  std::vector<ModelSizes> sizes(models.size());
  Budget budget;
  for (const exec::ExecutorNeeds& model : models) budget.weights += model.weights;
  const uint64_t after_weights = less(machine.memory_free.value, budget.weights) / models.size();
  for (size_t i = 0; i < models.size(); ++i) {
    sizes[i].step_tokens =
        wanted.step_tokens != 0 ? wanted.step_tokens : choose_step(models[i], after_weights);
    budget.steps += models[i].step_bytes(sizes[i].step_tokens);
    budget.least_pages += models[i].page * kPagesMin;
  }
  const uint64_t left = less(machine.memory_free.value, budget.fixed());
  if (wanted.kv_pages == 0 && left < budget.least_pages)
    return too_little(machine.memory_free, budget);
  for (size_t i = 0; i < models.size(); ++i) {
    const uint32_t chosen = models[i].pages_within(left / kPoolShare / models.size());
    sizes[i].kv_pages = wanted.kv_pages != 0 ? wanted.kv_pages : std::max(chosen, kPagesMin);
    const uint64_t bytes = uint64_t{wanted.kv_pages} * std::max<uint64_t>(1, models[i].page);
    if (bytes > less(machine.memory.value, budget.fixed()))
      return too_many_pages(machine.memory, budget, wanted.kv_pages, bytes);
  }
  return sizes;
}

Result<void> check_address_space(const Machine& machine) {
  const MachineBound& bound = machine.address_space_free;
  if (bound.value >= kAddressesMin) return {};
  return Error{
      ErrorCode::kResourceExhausted,
      fmt::format("[memory] got {} MiB of addresses ({}), expected at least {}: the memory "
                  "of each program reserves {} of them; to bound memory itself use a "
                  "control group (memory.max)",
                  bound.value >> 20, bound.by, kAddressesMin >> 20, mib(kProgramAddresses))};
}

uint32_t choose_model_threads(const Machine& machine, uint32_t wanted) {
  return wanted != 0 ? wanted : static_cast<uint32_t>(machine.threads.value);
}

uint32_t choose_worker_threads(const Machine& machine, uint32_t wanted) {
  return wanted != 0 ? wanted : std::min(choose_model_threads(machine, 0), kWorkersMax);
}

std::string describe(const Machine& machine) {
  return fmt::format(
      "{} MiB of memory can be taken ({}), {} threads compute at once ({}), {} open "
      "files ({})",
      machine.memory_free.value >> 20, machine.memory_free.by, machine.threads.value,
      machine.threads.by, machine.descriptors.value, machine.descriptors.by);
}

}  // namespace pie::server
