#include <malloc.h>
#include <pthread.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <csignal>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/on_call.h"
#include "cli/server_options.h"
#include "cli/standard_streams.h"
#include "server/server.h"

namespace pie::cli {
namespace {

struct ServeOptions {
  ServerOptions server;
  std::string ready_file;
};

/// SIGINT and SIGTERM from when it is made on, of this thread and of those that start later. The
/// first one, once the server serves, ends wait(). One that comes earlier, while a model loads, and
/// any further one end the process at once: whatever a server acknowledges is on the disk by then.
class StopSignals {
 public:
  explicit StopSignals(std::filesystem::path home) : home_(std::move(home)) {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGINT);
    sigaddset(&signals_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    std::thread([this] { listen(); }).detach();
  }

  void set_serving() {
    const std::lock_guard lock(mutex_);
    is_serving_ = true;
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return is_asked_; });
  }

 private:
  void listen() {
    for (;;) {
      int number = 0;
      if (sigwait(&signals_, &number) != 0) continue;
      const std::lock_guard lock(mutex_);
      if (!is_serving_ || is_asked_) leave(number);
      is_asked_ = true;
      changed_.notify_all();
    }
  }
  [[noreturn]] void leave(int number) const {
    std::error_code ignored;
    if (is_serving_) {
      std::filesystem::remove(server::url_file(home_), ignored);
      std::filesystem::remove(server::token_file(home_), ignored);
    }
    log::flush(std::chrono::milliseconds(100));
    ::_exit(128 + number);
  }

  const std::filesystem::path home_;
  sigset_t signals_{};
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_serving_ = false;
  bool is_asked_ = false;
};

/// Whether a file can be made there, found out before the minutes that a model takes to load.
Result<void> check_ready_file(const std::string& file) {
  namespace fs = std::filesystem;
  if (file.empty()) return {};
  std::error_code failed;
  const fs::path folder = fs::absolute(file, failed).parent_path();
  std::string wrong;
  if (!fs::is_directory(folder, failed)) {
    wrong = "whose folder does not exist, expected one in a folder that does";
  } else if (fs::is_directory(file, failed)) {
    wrong = "which is a folder, expected a file";
  } else if (::access(folder.c_str(), W_OK) != 0) {
    wrong = "whose folder may not be written, expected another one";
  }
  if (wrong.empty()) return {};
  return Error{ErrorCode::kInvalidArgument, "[--ready-file] got " + file + ", " + wrong};
}

/// What users' calls needed for a moment goes back to the machine: left to itself, the allocator
/// raises these bounds with the largest block freed, and keeps up to twice that in each arena. (A
/// walk of hostile calls left 70 to 150 MiB behind without, 6 MiB with them.)
void give_memory_back() {
  constexpr int kMapFromBytes = 4 << 20, kKeepBytes = 8 << 20;
  ::mallopt(M_MMAP_THRESHOLD, kMapFromBytes);
  ::mallopt(M_TRIM_THRESHOLD, kKeepBytes);
}

Result<int> serve(const ServeOptions& options) {
  give_memory_back();
  PIE_TRY_ASSIGN(const server::Config config, make_config(options.server));
  PIE_TRY(check_ready_file(options.ready_file));
  auto& signals = *new StopSignals(config.home);  // its thread lives as long as the process
  PIE_TRY_ASSIGN(const auto running, server::Server::start(config));
  signals.set_serving();
  const std::string line = running->url() + "\n";
  PIE_TRY(write_file_atomically(server::url_file(config.home), line));
  if (!options.ready_file.empty()) PIE_TRY(write_file_atomically(options.ready_file, line));
  if (!offer("pie is serving at " + line))
    log::info("serving at {} (standard output takes nothing)", running->url());
  signals.wait();
  std::error_code ignored;
  std::filesystem::remove(server::url_file(config.home), ignored);
  running->stop();
  return 0;
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
      "SIGTERM and Ctrl-C end it, once more at once (exit codes 143 and 130, as for one that "
      "comes\n"
      "while a model loads; else 0).\n"
      "Examples:\n"
      "  pie serve\n"
      "  pie serve --port 0 --ready-file /tmp/pie.url\n"
      "  pie serve --model ~/models/other.gguf\n");
  on_call(command, exit_code, [options] { return serve(*options); });
}

}  // namespace pie::cli
