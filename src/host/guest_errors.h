#pragma once
#include <cstdint>
#include <string_view>

#include "wasm/guest_error.h"

namespace pie::host {

using wasm::value_or_throw;

/// Throws GuestError "[what] got N bytes, expected at most MAX" when `bytes` is over `bytes_max`.
void check_size(std::string_view what, uint64_t bytes, uint64_t bytes_max);

}  // namespace pie::host
