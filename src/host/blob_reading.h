#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "base/blob.h"
#include "host/answer.h"
#include "host/instance_state.h"

namespace pie::host {

/// Up to `n` bytes of a blob from `offset`: there at once when they are in memory, else read by the
/// thread for disks. Throws wasm::LimitError when there is no room for them, or too much waits.
std::shared_ptr<Answer<std::vector<uint8_t>>> read_later(InstanceState& state, const BlobRef& blob,
                                                         uint64_t offset, uint64_t n);

}  // namespace pie::host
