#include "cli/commands.h"

#include <algorithm>
#include <iterator>

#include "server/version.h"

namespace pie::cli {

void add_commands(CLI::App& app, const std::vector<std::string>& program_arguments,
                  int& exit_code) {
  app.set_version_flag("--version", std::string("pie ") + server::kVersion);
  app.require_subcommand(1);
  add_serve_command(app, exit_code);
  add_run_command(app, program_arguments, exit_code);
  add_submit_command(app, program_arguments, exit_code);
  add_instance_commands(app, exit_code);
  add_ping_command(app, exit_code);
  add_upload_command(app, exit_code);
  add_new_command(app, exit_code);
  add_build_command(app, exit_code);
  add_precompile_command(app, exit_code);
  add_auth_command(app, exit_code);
  add_config_command(app, exit_code);
  add_model_command(app, exit_code);
  app.footer(
      "Examples:\n"
      "  pie serve\n"
      "  pie run text-completion -- --prompt \"What is the capital of France?\"\n"
      "  pie new my-agent\n"
      "  pie build my_inferlet.cpp && pie run ./my_inferlet.wasm\n"
      "State lives in PIE_HOME (~/.pie). `pie COMMAND --help` says more.\n"
      "Exit codes: 0 done; 1 refused, unreachable, the program failed, or the output could not be\n"
      "written; 2 a wrong command line; 130 and 143 interrupted; 141 nobody reads the output any "
      "more.\n");
}

std::vector<std::string> split_program_arguments(std::vector<std::string>& words) {
  if (words.empty() || (words.front() != "run" && words.front() != "submit")) return {};
  const auto dashes = std::ranges::find(words, "--");
  if (dashes == words.end()) return {};
  std::vector<std::string> rest(std::make_move_iterator(std::next(dashes)),
                                std::make_move_iterator(words.end()));
  words.erase(dashes, words.end());
  return rest;
}

}  // namespace pie::cli
