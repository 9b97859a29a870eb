#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace pie::cli {

/// Adds `pie run`. Its exit code goes to `exit_code`; it and `program_arguments` (what stood after
/// "--") outlive the app.
void add_run_command(CLI::App& app, const std::vector<std::string>& program_arguments,
                     int& exit_code);

}  // namespace pie::cli
