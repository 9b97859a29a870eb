#include <memory>
#include <string>

#include "cli/commands.h"
#include "cli/on_call.h"
#include "cli/standard_streams.h"
#include "server/compiled_ahead.h"

namespace pie::cli {

void add_precompile_command(CLI::App& app, int& exit_code) {
  auto folder = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand(
      "precompile", "compile the Python runtime, which servers do at their first Python program");
  command->add_option("--into", *folder,
                      "where to; default: the installation, where servers look for it");
  command->footer(
      "Example:\n"
      "  pie precompile\n"
      "`make build` does it. For this version of pie, on CPUs with the features of this one; "
      "where\n"
      "it does not fit, a server compiles the runtime itself.\n");
  on_call(command, exit_code, [folder]() -> Result<void> {
    PIE_TRY_ASSIGN(const server::Config config, server::load_config(server::default_home()));
    PIE_TRY_ASSIGN(const std::filesystem::path file,
                   server::compile_python_runtime(
                       config, folder->empty() ? server::compiled_folder(config.share)
                                               : std::filesystem::path(*folder)));
    say("{}\n", file.string());
    return {};
  });
}

}  // namespace pie::cli
