#include "server/sizes.h"

#include <fmt/format.h>

#include <algorithm>

#include "model/architecture.h"
#include "model/weights.h"

namespace pie::server {
namespace {

constexpr uint32_t kPageTokens = 16;
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

uint64_t step_bytes(const ModelNeeds& model, uint32_t tokens) {
  const exec::ExecutorConfig step{.page_size = kPageTokens, .step_tokens_max = tokens};
  return tokens * model.step_token + step.scratch_pages() * model.page;
}

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

uint32_t choose_step(const ModelNeeds& model, uint64_t memory) {
  uint32_t tokens = kStepTokens;
  while (tokens > kStepTokensMin && step_bytes(model, tokens) > memory / kStepShare) tokens /= 2;
  return tokens;
}

}  // namespace

ModelNeeds needs_of(const model::Model& model, exec::KvFormat format) {
  const model::Architecture& a = model.architecture();
  const uint64_t token = uint64_t{a.layer_count} * a.kv_head_count *
                         exec::kv_head_token_bytes(format, a.key_size, a.value_size);
  const uint64_t queries = uint64_t{a.head_count} * a.key_size;
  const uint64_t results = uint64_t{a.head_count} * a.value_size;
  const uint64_t floats =
      a.vocab_size + 5ULL * a.embedding_size + 2 * queries + 5 * results + 4ULL * a.ffn_size;
  const uint64_t widest = std::max<uint64_t>({a.embedding_size, results, a.ffn_size});
  constexpr uint64_t kActivationBytes = 18;  // a value as int8 and as f32, of twice the rows
  return {.weights = model.weights().size_bytes() * 17 / 16,
          .page = token * kPageTokens,
          .step_token = floats * sizeof(float) + widest * kActivationBytes};
}

Result<std::vector<ModelSizes>> choose_sizes(const Machine& machine,
                                             std::span<const ModelNeeds> models,
                                             const WantedSizes& wanted) {
  std::vector<ModelSizes> sizes(models.size());
  Budget budget;
  for (const ModelNeeds& model : models) budget.weights += model.weights;
  const uint64_t after_weights = less(machine.memory_free.value, budget.weights) / models.size();
  for (size_t i = 0; i < models.size(); ++i) {
    sizes[i].step_tokens =
        wanted.step_tokens != 0 ? wanted.step_tokens : choose_step(models[i], after_weights);
    budget.steps += step_bytes(models[i], sizes[i].step_tokens);
    budget.least_pages += models[i].page * kPagesMin;
  }
  const uint64_t left = less(machine.memory_free.value, budget.fixed());
  if (wanted.kv_pages == 0 && left < budget.least_pages)
    return too_little(machine.memory_free, budget);
  for (size_t i = 0; i < models.size(); ++i) {
    const uint64_t page = std::max<uint64_t>(1, models[i].page);
    const uint64_t chosen = left / kPoolShare / models.size() / page;
    sizes[i].kv_pages =
        wanted.kv_pages != 0
            ? wanted.kv_pages
            : static_cast<uint32_t>(std::clamp<uint64_t>(chosen, kPagesMin, UINT32_MAX));
    const uint64_t bytes = uint64_t{wanted.kv_pages} * page;
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
