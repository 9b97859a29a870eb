#include <memory>

#include "cli/build_program.h"
#include "cli/build_python_program.h"
#include "cli/commands.h"
#include "cli/list_option.h"
#include "cli/on_call.h"
#include "cli/standard_streams.h"
#include "server/config.h"

namespace pie::cli {

void add_build_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<BuildOptions>();
  CLI::App* command =
      app.add_subcommand("build", "make a component for the server of a C++ or Python program");
  command
      ->add_option("sources", options->sources,
                   "C++ files, one of them with inferlet_main; or one Python file or folder")
      ->required();
  command->add_option("-o,--output", options->output,
                      "the component; default: the first source's name with .wasm, here");
  command->add_option("--manifest", options->manifest,
                      "the program's manifest, copied beside the component as .toml");
  add_list_option(*command, "--flag", options->compiler_flags,
                  "one more flag for clang: --flag=-O2; again for further ones");
  command->add_flag("--http", options->serves_http,
                    "a program that serves HTTP: it defines inferlet_http instead");
  command->footer(
      "Example:\n"
      "  pie build my_inferlet.cpp && pie run ./my_inferlet.wasm\n"
      "A Python program runs as it is; a component of its own needs componentize-py.\n"
      "PIE_CLANG names another clang 22.\n");
  on_call(command, exit_code, [options]() -> Result<void> {
    options->share = server::default_share();
    PIE_TRY_ASSIGN(const std::filesystem::path built, is_python_program(*options)
                                                          ? build_python_program(*options)
                                                          : build_program(*options));
    say("{}\n", built.string());
    return {};
  });
}

}  // namespace pie::cli
