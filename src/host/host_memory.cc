#include "host/host_memory.h"

#include <fmt/format.h>

#include "wasm/guest_error.h"

namespace pie::host {

Result<void> HostMemory::try_add(uint64_t bytes) {
  uint64_t used = used_bytes();
  do {
    if (bytes > allowed_bytes_ || used > allowed_bytes_ - bytes)
      return Error{ErrorCode::kResourceExhausted,
                   fmt::format("host memory (messages, blobs, forward passes and results that were "
                               "not taken): used {} bytes and {} more asked for, allowed {}",
                               used, bytes, allowed_bytes_)};
  } while (!used_bytes_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
  if (!shared_ || shared_->take(bytes)) return {};
  used_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  return Error{ErrorCode::kResourceExhausted, shared_->refusal(bytes)};
}

void HostMemory::add(uint64_t bytes) {
  if (auto added = try_add(bytes); !added.ok()) throw wasm::LimitError(added.error().message);
}

void HostMemory::remove(uint64_t bytes) {
  used_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  if (shared_) shared_->give_back(bytes);
}

}  // namespace pie::host
