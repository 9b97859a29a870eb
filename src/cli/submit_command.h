#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace pie::cli {

/// Adds `pie submit` and `pie upload`, which bring programs to a running server. Their exit code
/// goes to `exit_code`; it and `program_arguments` (what stood after "--") outlive the app.
void add_submit_command(CLI::App& app, const std::vector<std::string>& program_arguments,
                        int& exit_code);
void add_upload_command(CLI::App& app, int& exit_code);

}  // namespace pie::cli
