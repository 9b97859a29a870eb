#pragma once
#include <CLI/CLI.hpp>
#include <functional>

#include "base/result.h"

namespace pie::cli {

/// Runs `call` when the command was given: its exit code, or kExitFailed and the error on stderr,
/// goes to `exit_code`, which outlives the app.
void on_call(CLI::App* command, int& exit_code, std::function<Result<int>()> call);
/// The same for what has no exit code of its own: 0 when it worked.
void on_call(CLI::App* command, int& exit_code, std::function<Result<void>()> call);

}  // namespace pie::cli
