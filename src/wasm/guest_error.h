#pragma once
#include <exception>
#include <stdexcept>
#include <utility>

#include "base/result.h"

namespace pie::wasm {

/// Thrown by a host function: ends the calling instance with Exception; the entry wrapper puts the
/// function's name in front of `what()`.
class GuestError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Thrown by a host function: ends the calling instance with OutOfResources(message).
class LimitError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Thrown by wasi:cli/exit: ends the instance, Completed for 0, else Exception("exit with code N").
class ExitRequest : public std::exception {
 public:
  explicit ExitRequest(int code) : code_(code) {}
  int code() const { return code_; }

 private:
  int code_;
};

/// Throws what ends the calling instance for this error: LimitError for kResourceExhausted,
/// std::runtime_error (a fault of ours) for kInternal and kCorrupt, else GuestError.
[[noreturn]] void throw_error(const Error& error);

/// The value, or throws as throw_error does.
template <class T>
T value_or_throw(Result<T> result) {
  if (!result.ok()) throw_error(result.error());
  return std::move(result).value();
}
inline void value_or_throw(const Result<void>& result) {
  if (!result.ok()) throw_error(result.error());
}

}  // namespace pie::wasm
