#pragma once
#include <CLI/CLI.hpp>

namespace pie::cli {

/// Adds the commands that talk to a running server (connection.h says which): `pie submit`,
/// `upload`, `list`, `attach`, `abort`, `logs` and `ping`. Their exit code goes to `exit_code`,
/// which outlives the app.
void add_client_commands(CLI::App& app, int& exit_code);

}  // namespace pie::cli
