#pragma once
#include <cstdint>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace pie::host {

/// Throws what ends the calling instance for this error: LimitError (OutOfResources) for
/// kResourceExhausted, std::runtime_error (ServerError) for faults of ours, else GuestError
/// (Exception).
[[noreturn]] void throw_error(const Error& error);

/// The value, or throws as throw_error does.
template <class T>
T value_or_throw(Result<T> result) {
  if (!result.ok()) throw_error(result.error());
  return std::move(result).value();
}
inline void value_or_throw(Result<void> result) {
  if (!result.ok()) throw_error(result.error());
}

/// Throws GuestError "[what] got N bytes, expected at most MAX" when `bytes` is over `bytes_max`.
void check_size(std::string_view what, uint64_t bytes, uint64_t bytes_max);

}  // namespace pie::host
