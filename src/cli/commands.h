#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace pie::cli {

/// Adds every command of `pie`, and `--version`. The exit code goes to `exit_code`; it and
/// `program_arguments` (what split_program_arguments() returned) outlive the app.
void add_commands(CLI::App& app, const std::vector<std::string>& program_arguments, int& exit_code);

/// Takes what follows the first "--" of `pie run` and `pie submit` out of the command line's words:
/// it is the program's, whatever it looks like. Empty for other commands.
std::vector<std::string> split_program_arguments(std::vector<std::string>& words);

// What add_commands() adds, each from the file of that name, with the same arguments.

/// `pie serve`.
void add_serve_command(CLI::App& app, int& exit_code);
/// `pie run`: a program on a server of its own.
void add_run_command(CLI::App& app, const std::vector<std::string>& program_arguments,
                     int& exit_code);

// These talk to a running server (connection.h says which).

/// `pie submit`: brings a program there and follows it.
void add_submit_command(CLI::App& app, const std::vector<std::string>& program_arguments,
                        int& exit_code);
/// `pie upload`, in submit_command.cc.
void add_upload_command(CLI::App& app, int& exit_code);
/// `pie list`, `attach`, `abort` and `logs`: the user's instances.
void add_instance_commands(CLI::App& app, int& exit_code);
/// `pie ping`.
void add_ping_command(CLI::App& app, int& exit_code);

// These need none.

/// `pie new`: a folder with a program to begin with.
void add_new_command(CLI::App& app, int& exit_code);
/// `pie build`: C++ files to a component.
void add_build_command(CLI::App& app, int& exit_code);
/// `pie precompile`: the Python runtime, into the installation.
void add_precompile_command(CLI::App& app, int& exit_code);
/// `pie auth add|remove|list`, which edit PIE_HOME/authorized_users.toml; a running server takes a
/// change for the next client that signs in.
void add_auth_command(CLI::App& app, int& exit_code);
/// `pie config init|show|get|set`: PIE_HOME/config.toml.
void add_config_command(CLI::App& app, int& exit_code);
/// `pie model list|add|info|bench`: the model files of this machine.
void add_model_command(CLI::App& app, int& exit_code);

}  // namespace pie::cli
