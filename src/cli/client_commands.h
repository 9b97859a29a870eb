#pragma once
#include <CLI/CLI.hpp>

namespace pie::cli {

/// Adds `pie submit`, `list`, `attach`, `abort` and `ping`, which talk to a running server: that of
/// --server, else the one that serves PIE_HOME, else ws://127.0.0.1:8080. Their exit code goes to
/// `exit_code`, which outlives the app.
void add_client_commands(CLI::App& app, int& exit_code);

}  // namespace pie::cli
