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
/// it completed or was left running. An event counts as delivered once it is written (the client
/// was made with confirms_events): where a stream fails, the connection is broken off, the rest
/// stays in the instance's log, and the failure is the error (of a reader that has gone,
/// kExitReaderGone). After the end it waits until the server knows that it was received.
Result<int> follow(client::Client& client, const client::Instance& instance, Leaving leaving);

/// The same, an error saying where the rest is, for an instance that outlives this process.
Result<int> with_rest(Result<int> followed, const client::Instance& instance);

}  // namespace pie::cli
