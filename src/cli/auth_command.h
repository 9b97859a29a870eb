#pragma once
#include <CLI/CLI.hpp>

namespace pie::cli {

/// Adds `pie auth add|remove|list`, which edit PIE_HOME/authorized_users.toml; a running server
/// takes a change for the next client that signs in.
void add_auth_command(CLI::App& app, int& exit_code);

}  // namespace pie::cli
