#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <sstream>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/standard_streams.h"

namespace {

using namespace pie::cli;  // NOLINT: this program's own

/// What CLI11 stopped for: --help and --version, or a wrong command line.
int stop(const CLI::App& app, const CLI::ParseError& why, const std::string& command) {
  std::ostringstream out;
  std::ostringstream err;
  const bool is_wrong = app.exit(why, out, err) != 0;
  say_text(out.str());
  complain(err.str());
  const bool is_extra = why.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError);
  if (is_extra && (command == "run" || command == "submit"))
    complain("A program's own arguments follow --, as in: pie " + command +
             " PROGRAM -- --prompt Hello\n");
  return settle("", is_wrong ? kExitUsage : 0);
}

int run_command_line(std::vector<std::string> words) {
  const std::string command = words.empty() ? "" : words.front();
  const std::vector<std::string> program_arguments = split_program_arguments(words);
  CLI::App app("pie serves programs that drive a language model", "pie");
  int exit_code = 0;
  add_commands(app, program_arguments, exit_code);
  std::ranges::reverse(words);  // as CLI11 takes them
  try {
    app.parse(words);
  } catch (const CLI::ParseError& why) {
    return stop(app, why, command);
  }
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  prepare_standard_streams();
  try {
    return run_command_line({argv + 1, argv + std::max(argc, 1)});
  } catch (const std::exception& failed) {
    complain_as("", failed.what());
    return kExitFailed;
  }
}
