#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/json_text.h"
#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/exit_code.h"
#include "cli/follow.h"
#include "cli/on_call.h"
#include "cli/standard_streams.h"
#include "client/archive.h"
#include "client/client.h"
#include "client/wait.h"

namespace pie::cli {
namespace {

using client::Client;
using client::Instance;
using client::wait_for;

struct SubmitOptions {
  ConnectionOptions connection;
  std::string name;
  std::string path;  ///< of a component or a Python program
  std::string manifest_path;
  bool detached = false;
  bool as_json = false;
  uint16_t http_port = 0;  ///< it serves HTTP there; 0: it runs
  std::vector<std::string> arguments;
};

Result<std::string> upload(Client& client, const SubmitOptions& options) {
  PIE_TRY_ASSIGN(client::UploadSource source, client::program_source(options.path));
  std::optional<std::string> manifest;
  if (!options.manifest_path.empty()) {
    PIE_TRY_ASSIGN(manifest, read_file(options.manifest_path));
  }
  return wait_for<std::string>([&](auto told) {
    client.upload_program(std::move(source), std::move(manifest), nullptr, told);
  });
}

Result<int> submit(SubmitOptions options, const std::vector<std::string>& program_arguments) {
  if (options.path.empty() && client::is_program_path(options.name))
    options.path = std::exchange(options.name, {});
  if (!options.path.empty() && !options.name.empty()) {
    // With -p there is no name: what stands in its place is the first argument.
    options.arguments.insert(options.arguments.begin(), std::exchange(options.name, {}));
  }
  options.arguments.insert(options.arguments.end(), program_arguments.begin(),
                           program_arguments.end());
  if (options.path.empty() && options.name.empty()) {
    complain_as(
        "submit",
        "got no program, expected a name, a file, or -p FILE (`pie submit --help` says more)");
    return kExitUsage;
  }
  PIE_TRY_ASSIGN(const Connected connected, connect(options.connection));
  Client& client = *connected.client;
  std::string program = options.name;
  if (program.empty()) {
    PIE_TRY_ASSIGN(program, upload(client, options));
  }
  if (options.http_port != 0) {
    PIE_TRY(wait_for<void>([&](auto told) {
      client.launch_server(options.http_port, program, options.arguments, told);
    }));
    say("http://127.0.0.1:{}\n", options.http_port);
    return 0;
  }
  PIE_TRY_ASSIGN(const Instance instance, wait_for<Instance>([&](auto told) {
                   client.launch(program, {options.arguments, options.detached}, told);
                 }));
  if (!options.detached) return with_rest(follow(client, instance, Leaving::kNever), instance);
  const std::string line = options.as_json
                               ? fmt::format("{{\"id\": {}}}\n", json_text(instance.id()))
                               : instance.id() + "\n";
  if (say_text(line)) return 0;
  Error error = failure_error(Stream::kOut);
  error.message += fmt::format("; instance {} was launched all the same", instance.id());
  return error;
}

Result<void> upload_only(const SubmitOptions& options) {
  PIE_TRY_ASSIGN(const Connected connected, connect(options.connection));
  PIE_TRY_ASSIGN(const std::string hash, upload(*connected.client, options));
  if (options.as_json) {
    say("{{\"hash\": {}}}\n", json_text(hash));
  } else {
    say("{}\n", hash);
  }
  return {};
}

}  // namespace

void add_submit_command(CLI::App& app, const std::vector<std::string>& program_arguments,
                        int& exit_code) {
  auto options = std::make_shared<SubmitOptions>();
  CLI::App* command = app.add_subcommand("submit", "Launch a program on a running server");
  command->add_option(
      "program", options->name,
      "Name (of yours or the registry's), name@version, or a hash; or a .wasm or .py "
      "file, or a folder of Python, to upload");
  command->add_option("arguments", options->arguments, "The program's arguments, after --");
  command->add_option("-p,--path", options->path, "Upload this file or folder and launch it");
  command->add_option("-m,--manifest", options->manifest_path, "Its manifest, with -p")
      ->needs("--path");
  CLI::Option* detached =
      command->add_flag("-d,--detached", options->detached,
                        "Print the instance's id and leave; `pie attach` shows what it said");
  command->add_flag("--json", options->as_json, "With -d: the id as JSON")->needs(detached);
  command
      ->add_option("--port", options->http_port,
                   "Serve HTTP on this port of the server's machine: an HTTP program")
      ->check(CLI::Range(1, 65535));
  add_connection_options(*command, options->connection);
  command->footer(
      "Streams the program's output; Ctrl-C terminates it.\n"
      "Exit codes: 0 it completed (with -d: it was launched); 1 it failed or was refused; 130\n"
      "interrupted; 141 nobody reads the output any more.\n"
      "Examples:\n"
      "  pie submit text-completion -- --prompt \"What is the capital of France?\"\n"
      "  pie submit agent.py -- --city Paris\n"
      "  pie submit -d -p my_inferlet.wasm -m my_inferlet.toml -- argument\n"
      "  pie submit --port 9000 -p my_server.wasm\n");
  on_call(command, exit_code,
          [options, &program_arguments] { return submit(*options, program_arguments); });
}

void add_upload_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<SubmitOptions>();
  CLI::App* command = app.add_subcommand("upload", "Upload a program and print its hash");
  command
      ->add_option("program", options->path,
                   "A component (.wasm), or a Python program: a .py file, a folder, or a .zip")
      ->required();
  command->add_option("manifest", options->manifest_path, "Its manifest: then it has a name, too");
  command->add_flag("--json", options->as_json, "The hash as JSON");
  add_connection_options(*command, options->connection);
  command->footer(
      "Examples:\n  pie upload my_inferlet.wasm my_inferlet.toml\n  pie upload agent.py\n");
  on_call(command, exit_code, [options] { return upload_only(*options); });
}

}  // namespace pie::cli
