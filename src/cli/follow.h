#pragma once
#include "base/result.h"
#include "client/client.h"

namespace pie::cli {

/// Exit codes of the client commands.
inline constexpr int kExitFailed = 1;
inline constexpr int kExitInterrupted = 130;  ///< 128 + SIGINT, as shells count

/// What Ctrl-C does to the instance that is followed; a second one does not wait for its end.
enum class OnInterrupt { kTerminate, kLeave };

/// Prints what the instance says until it ends: its stdout and messages on stdout, its stderr on
/// stderr. Returns the exit code: 0 when it completed.
Result<int> follow(const client::Instance& instance, OnInterrupt on_interrupt);

}  // namespace pie::cli
