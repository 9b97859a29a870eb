#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace pie::cli {

/// Adds every command of `pie`. The exit code goes to `exit_code`; it and `program_arguments` (what
/// split_program_arguments() returned) outlive the app.
void add_commands(CLI::App& app, const std::vector<std::string>& program_arguments, int& exit_code);

/// Takes what follows the first "--" of `pie run` and `pie submit` out of the command line's words:
/// it is the program's, whatever it looks like. Empty for other commands.
std::vector<std::string> split_program_arguments(std::vector<std::string>& words);

}  // namespace pie::cli
