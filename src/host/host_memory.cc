#include "host/host_memory.h"

#include <fmt/format.h>

#include "wasm/call.h"

namespace pie::host {

void HostMemory::add(uint64_t bytes) {
  uint64_t used = used_bytes();
  do {
    if (bytes > allowed_bytes_ || used > allowed_bytes_ - bytes)
      throw wasm::LimitError(
          fmt::format("host memory (blobs, forward passes and results that were not taken): used "
                      "{} bytes and {} more asked for, allowed {}",
                      used, bytes, allowed_bytes_));
  } while (!used_bytes_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
}

}  // namespace pie::host
