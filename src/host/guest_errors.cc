#include "host/guest_errors.h"

#include <fmt/format.h>

namespace pie::host {

void check_size(std::string_view what, uint64_t bytes, uint64_t bytes_max) {
  if (bytes > bytes_max)
    throw wasm::GuestError(
        fmt::format("[{}] got {} bytes, expected at most {}", what, bytes, bytes_max));
}

}  // namespace pie::host
