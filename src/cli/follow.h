#pragma once
#include "base/result.h"
#include "client/client.h"

namespace pie::cli {

/// Whether whoever follows an instance may leave it running.
enum class Leaving {
  kNever,     ///< SIGINT and SIGTERM terminate the instance
  kDetaches,  ///< SIGINT terminates it; Ctrl-D on a terminal, SIGTERM and SIGHUP leave it running
};

/// Prints what the instance says until it ends: its stdout and messages on stdout, its stderr on
/// stderr. A second SIGINT does not wait for its end. Returns the exit code (exit_code.h): 0 when
/// it completed or was left running.
Result<int> follow(const client::Instance& instance, Leaving leaving);

}  // namespace pie::cli
