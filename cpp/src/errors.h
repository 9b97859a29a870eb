#pragma once
#include "base/error.h"
#include "pie/client.h"

namespace pie {

/// What an error is that no class of its own stands for.
enum class Otherwise { kPieError, kProgramError };

/// Throws the exception for an error of the client; the same choice as Python's pie.errors.
[[noreturn]] void raise(const Error& error, Otherwise otherwise = Otherwise::kPieError);

}  // namespace pie
