#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/follow.h"
#include "cli/on_call.h"
#include "cli/process.h"
#include "cli/server_options.h"
#include "client/archive.h"
#include "client/client.h"
#include "client/wait.h"
#include "server/server.h"

namespace pie::cli {
namespace {

using client::wait_for;

struct RunOptions {
  ServerOptions server;
  std::string program;
  std::vector<std::string> arguments;
};

/// The server that the program runs on: one that serves this PIE_HOME, or one in this process.
struct Place {
  std::optional<TemporaryFolder> home;  ///< when another process has PIE_HOME but does not serve
  std::unique_ptr<server::Server> own;
  std::unique_ptr<client::Client> client;
};

client::ClientOptions client_options(const std::string& url) {
  return {.uri = url, .confirms_events = true};
}

Result<std::unique_ptr<client::Client>> connect(const std::string& url) {
  auto client = std::make_unique<client::Client>(client_options(url));
  PIE_TRY(wait_for<void>([&](auto done) { client->connect(done); }));
  const char* user = std::getenv("USER");
  const auto done = wait_for<void>(
      [&](auto told) { client->authenticate(user && *user ? user : "local", nullptr, told); });
  if (done.ok()) return client;
  // A server that asks for keys takes the token of whoever may read PIE_HOME.
  PIE_TRY_ASSIGN(const std::string token, read_file(server::token_file(server::default_home())));
  client = std::make_unique<client::Client>(client_options(url));
  PIE_TRY(wait_for<void>([&](auto told) { client->connect(told); }));
  PIE_TRY(wait_for<void>([&](auto told) { client->internal_authenticate(token, told); }));
  return client;
}

Result<Place> find_place(const ServerOptions& options) {
  Place place;
  PIE_TRY_ASSIGN(server::Config config, make_config(options));
  if (const auto url = read_file(server::url_file(config.home)); url.ok()) {
    auto client = connect(url->substr(0, url->find('\n')));
    if (client.ok()) place.client = std::move(client).value();
    if (place.client) return place;
  }
  if (!options.verbose) log::set_level(log::Level::kWarning);
  config.host = "127.0.0.1";
  config.port = 0;
  config.auth = false;
  config.tls_certificate.clear();
  config.tls_key.clear();
  auto own = server::Server::start(config);
  if (!own.ok() && own.error().code == ErrorCode::kFailedPrecondition) {
    PIE_TRY_ASSIGN(TemporaryFolder folder, TemporaryFolder::create());
    place.home.emplace(std::move(folder));
    config.cache = config.home / "cache";
    config.home = place.home->path();
    own = server::Server::start(config);
  }
  if (!own.ok()) return std::move(own).error();
  place.own = std::move(own).value();
  PIE_TRY_ASSIGN(place.client, connect(place.own->url()));
  return place;
}

Result<client::Instance> launch(client::Client& client, const RunOptions& options) {
  std::string program = options.program;
  if (client::is_program_path(program)) {
    PIE_TRY_ASSIGN(auto source, client::program_source(program));
    PIE_TRY_ASSIGN(program, wait_for<std::string>([&](auto done) {
                     client.upload_program(std::move(source), std::nullopt, nullptr, done);
                   }));
  }
  return wait_for<client::Instance>(
      [&](auto done) { client.launch(program, {.arguments = options.arguments}, done); });
}

Result<int> run(const RunOptions& options) {
  PIE_TRY_ASSIGN(Place place, find_place(options.server));
  PIE_TRY_ASSIGN(const client::Instance instance, launch(*place.client, options));
  Result<int> code = follow(*place.client, instance, Leaving::kNever);
  return place.own ? code : with_rest(std::move(code), instance);
}

}  // namespace

void add_run_command(CLI::App& app, const std::vector<std::string>& program_arguments,
                     int& exit_code) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* command =
      app.add_subcommand("run", "Run one program and print what it says, with or without a server");
  command
      ->add_option("program", options->program,
                   "Name in the registry, a .wasm or .py file, or a folder or .zip of Python")
      ->required();
  command->add_option("arguments", options->arguments, "The program's arguments, after --");
  add_server_options(*command, options->server);
  command->footer(
      "Uses the server of this PIE_HOME when one runs, else starts one in the process.\n"
      "Exits with 0 when the program completed.\n"
      "Examples:\n"
      "  pie run text-completion -- --prompt \"What is the capital of France?\"\n"
      "  pie run --model ~/models/other.gguf text-completion -- --prompt \"Hello\"\n"
      "  pie run ./my_inferlet.wasm -- argument\n"
      "  pie run agent.py -- argument\n");
  on_call(command, exit_code, [options, &program_arguments] {
    options->arguments.insert(options->arguments.end(), program_arguments.begin(),
                              program_arguments.end());
    return run(*options);
  });
}

}  // namespace pie::cli
