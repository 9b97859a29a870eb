#include "wasm/memory_budget.h"

#include <sys/mman.h>

#include <algorithm>
#include <memory>

namespace pie::wasm {
namespace {

thread_local MemoryBudget* current_budget = nullptr;

/// One linear memory: `mapped_bytes` of address space, the first `size_bytes` accessible.
struct LinearMemory {
  uint8_t* base;
  size_t size_bytes;
  size_t capacity_bytes;
  size_t mapped_bytes;
  MemoryBudget* budget;  ///< null: a memory that belongs to no instance
};

uint8_t* get_memory(void* env, size_t* size_bytes, size_t* capacity_bytes) {
  const auto& memory = *static_cast<LinearMemory*>(env);
  *size_bytes = memory.size_bytes;
  *capacity_bytes = memory.capacity_bytes;
  return memory.base;
}

wasmtime_error_t* grow_memory(void* env, size_t size_bytes) {
  auto& memory = *static_cast<LinearMemory*>(env);
  if (size_bytes > memory.capacity_bytes) return wasmtime_error_new("beyond the reservation");
  if (size_bytes <= memory.size_bytes) return nullptr;
  const size_t more_bytes = size_bytes - memory.size_bytes;
  if (memory.budget && !memory.budget->take(more_bytes))
    return wasmtime_error_new("the instance's memory limit");
  if (mprotect(memory.base, size_bytes, PROT_READ | PROT_WRITE) != 0) {
    if (memory.budget) {
      memory.budget->give_back(more_bytes);
      memory.budget->set_machine_full();
    }
    return wasmtime_error_new("the machine has no more memory");
  }
  memory.size_bytes = size_bytes;
  return nullptr;
}

void delete_memory(void* env) {
  const std::unique_ptr<LinearMemory> memory(static_cast<LinearMemory*>(env));
  munmap(memory->base, memory->mapped_bytes);
  if (memory->budget) memory->budget->give_back(memory->size_bytes);
}

wasmtime_error_t* new_memory(void*, const wasm_memorytype_t*, size_t minimum, size_t,
                             size_t reserved_bytes, size_t guard_bytes,
                             wasmtime_linear_memory_t* out) {
  MemoryBudget* budget = current_budget;
  if (budget && !budget->take(minimum)) return wasmtime_error_new("the instance's memory limit");
  const size_t capacity = std::max(reserved_bytes, minimum);
  const size_t mapped = capacity + guard_bytes;
  void* base = mmap(nullptr, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  const bool usable =
      base != MAP_FAILED && (minimum == 0 || mprotect(base, minimum, PROT_READ | PROT_WRITE) == 0);
  if (!usable) {
    if (base != MAP_FAILED) munmap(base, mapped);
    if (budget) {
      budget->give_back(minimum);
      budget->set_machine_full();
    }
    return wasmtime_error_new("the machine has no more address space");
  }
  auto memory = std::make_unique<LinearMemory>(
      LinearMemory{static_cast<uint8_t*>(base), minimum, capacity, mapped, budget});
  *out = {memory.release(), get_memory, grow_memory, delete_memory};
  return nullptr;
}

}  // namespace

bool MemoryBudget::take(uint64_t bytes) {
  const uint64_t wanted = used_bytes() + bytes;
  if (wanted > bytes_max_) {
    refused_bytes_ = wanted;
    return false;
  }
  if (shared_ && !shared_->take(bytes)) {
    refused_bytes_ = wanted;
    shared_refusal_ = shared_->refusal(bytes);
    return false;
  }
  used_bytes_.store(wanted, std::memory_order_relaxed);
  return true;
}

MemoryBudget::Scope::Scope(MemoryBudget& budget) : outer_(current_budget) {
  current_budget = &budget;
}
MemoryBudget::Scope::~Scope() { current_budget = outer_; }

void set_memory_creator(wasm_config_t* config) {
  wasmtime_memory_creator_t creator{nullptr, new_memory, nullptr};
  wasmtime_config_host_memory_creator_set(config, &creator);
}

}  // namespace pie::wasm
