#pragma once
#include <CLI/CLI.hpp>

namespace pie::cli {

/// `pie model list | add | info | bench`: the model files of this machine. None of them needs a
/// server.
void add_model_command(CLI::App& app, int& exit_code);

}  // namespace pie::cli
