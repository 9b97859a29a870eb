#pragma once
#include <CLI/CLI.hpp>

namespace pie::cli {

/// Adds `pie list`, `attach`, `abort` and `logs`, which look after the user's instances on a
/// running server. Their exit code goes to `exit_code`, which outlives the app.
void add_instance_commands(CLI::App& app, int& exit_code);

}  // namespace pie::cli
