#include <CLI/CLI.hpp>

#include "cli/auth_command.h"
#include "cli/build_command.h"
#include "cli/client_commands.h"
#include "cli/config_command.h"
#include "cli/exit_code.h"
#include "cli/model_command.h"
#include "cli/run_command.h"
#include "cli/serve_command.h"
#include "cli/version.h"

int main(int argc, char** argv) {
  CLI::App app("pie serves programs that drive a language model", "pie");
  int exit_code = 0;
  app.set_version_flag("--version", pie::cli::version_text());
  app.require_subcommand(1);
  pie::cli::add_serve_command(app, exit_code);
  pie::cli::add_run_command(app, exit_code);
  pie::cli::add_client_commands(app, exit_code);
  pie::cli::add_build_command(app, exit_code);
  pie::cli::add_auth_command(app, exit_code);
  pie::cli::add_config_command(app, exit_code);
  pie::cli::add_model_command(app, exit_code);
  app.footer(
      "Examples:\n"
      "  pie serve\n"
      "  pie run text-completion -- --prompt \"What is the capital of France?\"\n"
      "  pie build my_inferlet.cpp && pie run ./my_inferlet.wasm\n"
      "State lives in PIE_HOME (~/.pie). `pie COMMAND --help` says more.\n"
      "Exit codes: 0 done; 1 refused, unreachable, or the program failed; 2 a wrong command line;\n"
      "130 interrupted.\n");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& stop) {  // --help and --version are among them
    return app.exit(stop) == 0 ? 0 : pie::cli::kExitUsage;
  }
  return exit_code;
}
