#include "wasm/memory_budget.h"

namespace pie::wasm {

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

}  // namespace pie::wasm
