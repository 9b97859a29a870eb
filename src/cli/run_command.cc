#include "cli/run_command.h"

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "cli/process.h"
#include "cli/server_options.h"
#include "client/client.h"
#include "server/server.h"

namespace pie::cli {
namespace {

namespace fs = std::filesystem;

constexpr int kFailed = 1;
constexpr int kInterrupted = 130;

struct RunOptions {
  ServerOptions server;
  std::string program;
  std::vector<std::string> arguments;
};

/// Interrupts so far; the second one does not wait for the program's end.
volatile std::sig_atomic_t interrupts = 0;
extern "C" void count_interrupt(int) { interrupts = interrupts + 1; }

/// Starts a call and waits for its end.
template <class T, class Start>
Result<T> wait_for(Start start) {
  auto promise = std::make_shared<std::promise<Result<T>>>();
  auto future = promise->get_future();
  start([promise](Result<T> result) { promise->set_value(std::move(result)); });
  return future.get();
}

/// The server that the program runs on: one that serves this PIE_HOME, or one in this process.
struct Place {
  std::optional<TemporaryFolder> home;  ///< when another process has PIE_HOME but does not serve
  std::unique_ptr<server::Server> own;
  std::unique_ptr<client::Client> client;
};

Result<std::unique_ptr<client::Client>> connect(const std::string& url) {
  auto client = std::make_unique<client::Client>(client::ClientOptions{.uri = url});
  PIE_TRY(wait_for<void>([&](auto done) { client->connect(done); }));
  const char* user = std::getenv("USER");
  PIE_TRY(wait_for<void>(
      [&](auto done) { client->authenticate(user && *user ? user : "local", nullptr, done); }));
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
  auto own = server::Server::start(config);
  if (!own.ok() && own.error().code == ErrorCode::kFailedPrecondition) {
    PIE_TRY_ASSIGN(place.home, TemporaryFolder::create());
    config.cache = config.home / "cache";
    config.home = place.home->path();
    own = server::Server::start(config);
  }
  if (!own.ok()) return std::move(own).error();
  place.own = std::move(own).value();
  PIE_TRY_ASSIGN(place.client, connect(place.own->url()));
  return place;
}

bool is_file(const std::string& program) {
  std::error_code ignored;
  return program.find(".wasm") != std::string::npos || fs::is_regular_file(program, ignored);
}

Result<client::Instance> launch(client::Client& client, const RunOptions& options) {
  std::string program = options.program;
  if (is_file(program)) {
    PIE_TRY_ASSIGN(auto source, client::file_source(program));
    PIE_TRY_ASSIGN(program, wait_for<std::string>([&](auto done) {
                     client.upload_program(std::move(source), std::nullopt, nullptr, done);
                   }));
  }
  return wait_for<client::Instance>(
      [&](auto done) { client.launch(program, {.arguments = options.arguments}, done); });
}

/// Prints what the instance says until it ends; the exit code.
class Printer {
 public:
  explicit Printer(const client::Instance& instance) : instance_(instance) {}

  Result<int> run() {
    for (;;) {
      auto event = instance_.events().pop(std::chrono::milliseconds(100));
      if (interrupts > told_) interrupt();
      if (interrupts > 1) return kInterrupted;
      if (!event.ok() && event.error().code == ErrorCode::kTimeout) continue;
      if (!event.ok()) return std::move(event).error();
      if (protocol::is_final(event->code)) return end(*event);
      print(*event);
    }
  }

 private:
  void interrupt() {
    told_ = interrupts;
    instance_.terminate([](Result<void>) {});
  }

  void print(const client::Event& event) {
    if (event.code == protocol::EventCode::kStderr) {
      write(stderr, event.data);
    } else if (event.code == protocol::EventCode::kBlob) {
      std::fprintf(stderr, "[blob of %zu bytes]\n", event.data.size());
    } else {
      write(stdout, event.data);
      if (event.code == protocol::EventCode::kMessage) write(stdout, "\n");
      has_output_ = true;
    }
  }

  int end(const client::Event& event) {
    if (event.code == protocol::EventCode::kCompleted) {
      if (!has_output_ && !event.data.empty()) write(stdout, event.data + "\n");
      if (has_output_ && last_ != '\n') write(stdout, "\n");
      return 0;
    }
    const auto name = protocol::to_string(event.code);
    std::fprintf(stderr, "%.*s: %s\n", static_cast<int>(name.size()), name.data(),
                 event.data.c_str());
    return interrupts > 0 ? kInterrupted : kFailed;
  }

  void write(std::FILE* to, const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), to);
    std::fflush(to);
    if (to == stdout && !text.empty()) last_ = text.back();
  }

  client::Instance instance_;
  int told_ = 0;
  bool has_output_ = false;
  char last_ = '\n';
};

Result<int> run(const RunOptions& options) {
  std::signal(SIGINT, count_interrupt);
  std::signal(SIGTERM, count_interrupt);
  PIE_TRY_ASSIGN(Place place, find_place(options.server));
  PIE_TRY_ASSIGN(const client::Instance instance, launch(*place.client, options));
  return Printer(instance).run();
}

}  // namespace

void add_run_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* command =
      app.add_subcommand("run", "Run one program and print what it says, with or without a server");
  command->add_option("program", options->program, "Name in the registry, or a .wasm file")
      ->required();
  command->add_option("arguments", options->arguments, "The program's arguments, after --");
  add_server_options(*command, options->server);
  command->footer(
      "Uses the server of this PIE_HOME when one runs, else starts one in the process.\n"
      "Exits with 0 when the program completed.\n"
      "Examples:\n"
      "  pie run text-completion -- --prompt \"What is the capital of France?\"\n"
      "  pie run ./my_inferlet.wasm -- argument\n");
  command->callback([options, &exit_code] {
    const auto done = run(*options);
    exit_code = done.ok() ? *done : kFailed;
    if (!done.ok()) std::fprintf(stderr, "pie run: %s\n", done.error().message.c_str());
  });
}

}  // namespace pie::cli
