#include "host/guest_errors.h"

#include <fmt/format.h>

#include <stdexcept>

#include "wasm/call.h"

namespace pie::host {

void throw_error(const Error& error) {
  switch (error.code) {
    case ErrorCode::kResourceExhausted: throw wasm::LimitError(error.message);
    case ErrorCode::kInternal:
    case ErrorCode::kCorrupt: throw std::runtime_error(error.message);
    default: throw wasm::GuestError(error.message);
  }
}

void check_size(std::string_view what, uint64_t bytes, uint64_t bytes_max) {
  if (bytes > bytes_max)
    throw wasm::GuestError(
        fmt::format("[{}] got {} bytes, expected at most {}", what, bytes, bytes_max));
}

}  // namespace pie::host
