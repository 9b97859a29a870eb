#include "errors.h"

namespace pie {

// The destructors are here so that each class has one typeinfo, in the shared library.
PieError::~PieError() = default;
AuthenticationError::~AuthenticationError() = default;
InvalidKeyError::~InvalidKeyError() = default;
NotFoundError::~NotFoundError() = default;
ProgramError::~ProgramError() = default;
ProtocolError::~ProtocolError() = default;
PieTimeoutError::~PieTimeoutError() = default;
ConnectionError::~ConnectionError() = default;
CancelledError::~CancelledError() = default;

void raise(const Error& error, Otherwise otherwise) {
  switch (error.code) {
    case ErrorCode::kNotFound: throw NotFoundError(error.message);
    case ErrorCode::kPermissionDenied: throw AuthenticationError(error.message);
    case ErrorCode::kTimeout: throw PieTimeoutError(error.message);
    case ErrorCode::kCorrupt: throw ProtocolError(error.message);
    case ErrorCode::kUnavailable: throw ConnectionError(error.message);
    default: break;
  }
  if (otherwise == Otherwise::kProgramError) throw ProgramError(error.message);
  throw PieError(error.message);
}

}  // namespace pie
