#pragma once
#include <CLI/CLI.hpp>

namespace pie::cli {

/// Adds `pie config init|show|get|set`, which look after PIE_HOME/config.toml.
void add_config_command(CLI::App& app, int& exit_code);

}  // namespace pie::cli
