#pragma once
#include <string>
#include <string_view>
#include <utility>

namespace pie {

/// What went wrong, in a word; the same words in C++, on the wire and in Python.
enum class ErrorCode {
  kInvalidArgument,     ///< the caller's input is wrong and will stay wrong
  kNotFound,            ///< what was named does not exist (or is not the caller's to see)
  kAlreadyExists,       ///< what should be made is there already
  kPermissionDenied,    ///< the caller may not do this
  kResourceExhausted,   ///< a limit was reached; the message says which, used and allowed
  kFailedPrecondition,  ///< right input, wrong moment
  kUnsupported,         ///< known, but not served
  kUnavailable,         ///< the other side is gone or not ready
  kTimeout,             ///< took longer than it was given
  kCancelled,           ///< somebody asked for it to stop
  kCorrupt,             ///< stored or received data does not check out
  kInternal,            ///< a fault of ours
};

/// The code's name in snake_case ("not_found").
std::string_view to_string(ErrorCode code);

/// An expected failure. `message` reads "[what] got X, expected Y" and says what to do.
struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;

  /// The same error with the outer operation named in front: "context: message".
  Error within(std::string_view context) && {
    message.insert(0, std::string(context) + ": ");
    return std::move(*this);
  }
  bool operator==(const Error&) const = default;
};

}  // namespace pie
