#include <memory>

#include "cli/commands.h"
#include "cli/new_project.h"
#include "cli/on_call.h"
#include "cli/standard_streams.h"

namespace pie::cli {

void add_new_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<NewOptions>();
  CLI::App* command =
      app.add_subcommand("new", "make a folder with a program that runs, and a test of its own");
  command->add_option("name", options->folder, "The folder; its last part is the program's name")
      ->required();
  command->add_option("--lang", options->language, "Language of the program: cpp or python")
      ->capture_default_str();
  command->footer(
      "Examples:\n"
      "  pie new my-agent && cd my-agent\n"
      "  pie build main.cpp answer.cpp -o my-agent.wasm\n"
      "  pie run ./my-agent.wasm -- --prompt \"What is the capital of France?\"\n"
      "  pie new my-agent --lang python && cd my-agent && pie run .\n"
      "The folder's README.md says how to run its test.\n");
  on_call(command, exit_code, [options]() -> Result<void> {
    PIE_TRY(new_project(*options));
    say("{}: README.md says how to build, run and test it\n", options->folder.string());
    return {};
  });
}

}  // namespace pie::cli
