#pragma once

namespace pie::cli {

// What `pie` exits with; README.md and `pie --help` say the same.
inline constexpr int kExitFailed = 1;         ///< refused, unreachable, or the program failed
inline constexpr int kExitUsage = 2;          ///< the command line itself is wrong
inline constexpr int kExitInterrupted = 130;  ///< 128 + SIGINT, as shells count
inline constexpr int kExitReaderGone = 141;   ///< 128 + SIGPIPE: who read the output has gone

}  // namespace pie::cli
