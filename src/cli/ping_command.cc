#include <fmt/format.h>

#include <chrono>
#include <memory>

#include "base/json_text.h"
#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/on_call.h"
#include "cli/standard_streams.h"
#include "client/client.h"
#include "client/wait.h"

namespace pie::cli {
namespace {

struct PingOptions {
  ConnectionOptions connection;
  bool as_json = false;
};

Result<void> ping(const PingOptions& options) {
  PIE_TRY_ASSIGN(const Connected connected, connect(options.connection));
  const auto started = std::chrono::steady_clock::now();
  PIE_TRY(client::wait_for<void>([&](auto told) { connected.client->ping(told); }));
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - started;
  if (options.as_json) {
    say("{{\"server\": {}, \"milliseconds\": {:.3f}}}\n", json_text(connected.url), took.count());
  } else {
    say("Pong\n");
  }
  return {};
}

}  // namespace

void add_ping_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<PingOptions>();
  CLI::App* command = app.add_subcommand("ping", "Ask whether the server answers");
  command->add_flag("--json", options->as_json, "The server and how long it took, as JSON");
  add_connection_options(*command, options->connection);
  command->footer(
      "Examples:\n"
      "  pie ping\n"
      "  pie ping --server wss://pie.example.org:8080 --user ann --key ~/.ssh/id_ed25519 --save\n");
  on_call(command, exit_code, [options] { return ping(*options); });
}

}  // namespace pie::cli
