#pragma once
#include <CLI/CLI.hpp>

namespace pie::cli {

/// Adds `pie build`. Its exit code goes to `exit_code`, which outlives the app.
void add_build_command(CLI::App& app, int& exit_code);

}  // namespace pie::cli
