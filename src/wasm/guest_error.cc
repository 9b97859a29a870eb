#include "wasm/guest_error.h"

namespace pie::wasm {

void throw_error(const Error& error) {
  switch (error.code) {
    case ErrorCode::kResourceExhausted: throw LimitError(error.message);
    case ErrorCode::kInternal:
    case ErrorCode::kCorrupt: throw std::runtime_error(error.message);
    default: throw GuestError(error.message);
  }
}

}  // namespace pie::wasm
