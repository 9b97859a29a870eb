#pragma once
#include <CLI/CLI.hpp>

namespace pie::cli {

/// Adds `pie serve`. Its exit code goes to `exit_code`, which outlives the app.
void add_serve_command(CLI::App& app, int& exit_code);

}  // namespace pie::cli
