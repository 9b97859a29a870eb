#include "exec/pool_bound.h"

#include <fmt/format.h>

#include "base/machine.h"

namespace pie::exec {
namespace {

Error too_large(const ExecutorConfig& config, uint64_t bytes, const MachineBound& bound) {
  constexpr uint64_t kMiB = 1 << 20;
  return {ErrorCode::kResourceExhausted,
          fmt::format("[KV pool] got {} pages = {} MiB, expected at most {} MiB ({}): configure "
                      "fewer pages (kv_pages), or leave them to be chosen",
                      config.page_count, bytes / kMiB, bound.value / kMiB, bound.by)};
}

}  // namespace

Result<void> check_pool_fits(const ExecutorConfig& config, uint64_t bytes) {
  const Machine machine = Machine::read();
  if (bytes > machine.memory.value) return too_large(config, bytes, machine.memory);
  if (bytes > machine.address_space_free.value)
    return too_large(config, bytes, machine.address_space_free);
  return {};
}

Error pool_refused(const ExecutorConfig& config, uint64_t bytes) {
  return too_large(config, bytes, Machine::read().memory_free);
}

Error load_refused(uint64_t weight_bytes) {
  const MachineBound bound = Machine::read().memory_free;
  return {ErrorCode::kResourceExhausted,
          fmt::format("[executor] got no memory for a model of {} MiB and its steps, expected more "
                      "than the {} MiB that are left ({}): serve a smaller model, or configure "
                      "fewer pages (kv_pages) and shorter steps (step_tokens_max)",
                      weight_bytes >> 20, bound.value >> 20, bound.by)};
}

}  // namespace pie::exec
