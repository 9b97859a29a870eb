#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace pie::cli {

/// Adds the commands that talk to a running server (connection.h says which): `pie submit`,
/// `upload`, `list`, `attach`, `abort`, `logs` and `ping`. Their exit code goes to `exit_code`;
/// it and `program_arguments` (what stood after "--") outlive the app.
void add_client_commands(CLI::App& app, const std::vector<std::string>& program_arguments,
                         int& exit_code);

}  // namespace pie::cli
