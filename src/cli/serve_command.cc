#include "cli/serve_command.h"

#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <system_error>

#include "base/file.h"
#include "base/log.h"
#include "cli/on_call.h"
#include "cli/server_options.h"
#include "server/server.h"

namespace pie::cli {
namespace {

struct ServeOptions {
  ServerOptions server;
  std::string ready_file;
};

/// Takes SIGINT and SIGTERM out of every thread that starts later, for wait().
class StopSignals {
 public:
  StopSignals() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGINT);
    sigaddset(&signals_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  }
  void wait() const {
    int number = 0;
    while (sigwait(&signals_, &number) != 0) {
    }
  }

 private:
  sigset_t signals_{};
};

Result<void> serve(const ServeOptions& options) {
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error to whoever writes it
  std::signal(SIGPIPE, SIG_IGN);
  const StopSignals signals;
  PIE_TRY_ASSIGN(const server::Config config, make_config(options.server));
  PIE_TRY_ASSIGN(const auto running, server::Server::start(config));
  const std::string line = running->url() + "\n";
  PIE_TRY(write_file_atomically(server::url_file(config.home), line));
  if (!options.ready_file.empty()) PIE_TRY(write_file_atomically(options.ready_file, line));
  std::printf("pie is serving at %s\n", running->url().c_str());
  std::fflush(stdout);
  signals.wait();
  std::error_code ignored;
  std::filesystem::remove(server::url_file(config.home), ignored);
  running->stop();
  return {};
}

}  // namespace

void add_serve_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ServeOptions>();
  CLI::App* command = app.add_subcommand("serve", "Serve programs and a model over WebSocket");
  add_server_options(*command, options->server);
  command->add_option("--host", options->server.host, "Address to listen on [127.0.0.1]");
  command->add_option("--port", options->server.port,
                      "Port to listen on; 0 takes a free one [8080]");
  command->add_flag("--auth,!--no-auth", options->server.auth,
                    "Ask clients for their keys (`pie auth add` names the users)");
  command->add_option("--tls-certificate", options->server.tls_certificate,
                      "Serve wss:// with this certificate chain (PEM)");
  command->add_option("--tls-key", options->server.tls_key, "Its private key (PEM)");
  command->add_flag("--allow-unauthenticated-network", options->server.allow_network,
                    "Serve a network without authentication: whoever reaches the port may run "
                    "programs on this machine");
  command->add_option("--ready-file", options->ready_file,
                      "File that gets the URL, in one piece, once the server answers");
  command->footer(
      "Examples:\n"
      "  pie serve\n"
      "  pie serve --port 0 --ready-file /tmp/pie.url\n"
      "  pie serve --model ~/models/other.gguf\n");
  on_call(command, exit_code, [options] { return serve(*options); });
}

}  // namespace pie::cli
