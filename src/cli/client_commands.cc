#include "cli/client_commands.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/json_text.h"
#include "cli/follow.h"
#include "cli/key_file.h"
#include "cli/on_call.h"
#include "client/client.h"
#include "client/wait.h"
#include "server/config.h"
#include "server/server.h"

namespace pie::cli {
namespace {

using client::Client;
using client::Instance;
using client::InstanceInfo;
using client::wait_for;

constexpr const char* kDefaultServer = "ws://127.0.0.1:8080";

/// What all of these commands can be told.
struct Connection {
  std::string server;
  std::string user;
  std::string key_file;
};

struct SubmitOptions {
  Connection connection;
  std::string name;
  std::string wasm_path;
  std::string manifest_path;
  bool detached = false;
  uint16_t http_port = 0;  ///< it serves HTTP there; 0: it runs
  std::vector<std::string> arguments;
};

struct ListOptions {
  Connection connection;
  bool as_json = false;
};

struct PrefixOptions {
  Connection connection;
  std::string prefix;
};

std::string default_server() {
  const Result<std::string> url = read_file(server::url_file(server::default_home()));
  return url.ok() ? url->substr(0, url->find('\n')) : kDefaultServer;
}

std::string default_user() {
  const char* user = std::getenv("USER");
  return user != nullptr && *user != '\0' ? user : "local";
}

Result<std::unique_ptr<Client>> connect(const Connection& to) {
  const std::string url = to.server.empty() ? default_server() : to.server;
  auto client = std::make_unique<Client>(client::ClientOptions{.uri = url});
  if (auto done = wait_for<void>([&](auto told) { client->connect(told); }); !done.ok()) {
    Error error = std::move(done).error();
    error.message += "; is the server running? (`pie serve` starts one)";
    return error;
  }
  const std::string user = to.user.empty() ? default_user() : to.user;
  client::KeyRef key;
  if (!to.key_file.empty()) {
    PIE_TRY_ASSIGN(key, load_key(to.key_file));
  }
  if (auto done = wait_for<void>([&](auto told) { client->authenticate(user, key, told); });
      !done.ok()) {
    Error error = std::move(done).error();
    if (error.code == ErrorCode::kPermissionDenied)
      error.message += "; give --user and --key of somebody whom `pie auth list` shows there";
    return error;
  }
  return client;
}

Result<std::vector<InstanceInfo>> list_of(Client& client) {
  return wait_for<std::vector<InstanceInfo>>([&](auto told) { client.list_instances(told); });
}

/// The one instance whose id begins with `prefix`.
Result<std::string> find_instance(Client& client, const std::string& prefix) {
  PIE_TRY_ASSIGN(const std::vector<InstanceInfo> instances, list_of(client));
  std::vector<std::string> found;
  for (const InstanceInfo& info : instances) {
    if (info.id == prefix) return prefix;
    if (info.id.starts_with(prefix)) found.push_back(info.id);
  }
  if (found.size() == 1) return found.front();
  if (found.empty()) {
    return Error{
        ErrorCode::kNotFound,
        fmt::format("no instance of yours begins with '{}' (`pie list` shows them)", prefix)};
  }
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("{} instances begin with '{}', such as {} and {}: give more of the id",
                           found.size(), prefix, found[0], found[1])};
}

Result<std::string> upload(Client& client, const SubmitOptions& options) {
  PIE_TRY_ASSIGN(client::UploadSource source, client::file_source(options.wasm_path));
  std::optional<std::string> manifest;
  if (!options.manifest_path.empty()) {
    PIE_TRY_ASSIGN(manifest, read_file(options.manifest_path));
  }
  return wait_for<std::string>([&](auto told) {
    client.upload_program(std::move(source), std::move(manifest), nullptr, told);
  });
}

Result<int> submit(SubmitOptions options) {
  if (!options.wasm_path.empty() && !options.name.empty()) {
    // With -p there is no name: what stands in its place is the first argument.
    options.arguments.insert(options.arguments.begin(), std::exchange(options.name, {}));
  }
  if (options.wasm_path.empty() && options.name.empty()) {
    return Error{ErrorCode::kInvalidArgument,
                 "got no program, expected a name or -p FILE.wasm (`pie submit --help` says more)"};
  }
  PIE_TRY_ASSIGN(const std::unique_ptr<Client> client, connect(options.connection));
  std::string program = options.name;
  if (program.empty()) {
    PIE_TRY_ASSIGN(program, upload(*client, options));
  }
  if (options.http_port != 0) {
    PIE_TRY(wait_for<void>([&](auto told) {
      client->launch_server(options.http_port, program, options.arguments, told);
    }));
    std::printf("http://127.0.0.1:%u\n", static_cast<unsigned>(options.http_port));
    return 0;
  }
  PIE_TRY_ASSIGN(const Instance instance, wait_for<Instance>([&](auto told) {
                   client->launch(program, {options.arguments, options.detached}, told);
                 }));
  if (!options.detached) return follow(instance, OnInterrupt::kTerminate);
  std::printf("%s\n", instance.id().c_str());
  return 0;
}

std::string json_line(const InstanceInfo& info) {
  std::string arguments;
  for (const std::string& argument : info.arguments) {
    arguments += (arguments.empty() ? "" : ", ") + json_text(argument);
  }
  return fmt::format(
      R"({{"id": {}, "cmd_name": {}, "arguments": [{}], "status": {}, "username": {}, )"
      R"("elapsed_secs": {}, "kv_pages_used": {}}})",
      json_text(info.id), json_text(info.cmd_name), arguments, json_text(info.status),
      json_text(info.username), info.elapsed_secs, info.kv_pages_used);
}

Result<int> list(const ListOptions& options) {
  PIE_TRY_ASSIGN(const std::unique_ptr<Client> client, connect(options.connection));
  PIE_TRY_ASSIGN(const std::vector<InstanceInfo> instances, list_of(*client));
  if (options.as_json) {
    std::string lines;
    for (const InstanceInfo& info : instances) {
      lines += (lines.empty() ? "\n  " : ",\n  ") + json_line(info);
    }
    std::printf("[%s%s]\n", lines.c_str(), lines.empty() ? "" : "\n");
    return 0;
  }
  fmt::print("{:<36}  {:<8}  {:>8}  {:>8}  {:<12}  {}\n", "ID", "STATUS", "SECONDS", "KV PAGES",
             "USER", "PROGRAM");
  for (const InstanceInfo& info : instances) {
    std::string program = info.cmd_name;
    for (const std::string& argument : info.arguments) program += ' ' + argument;
    fmt::print("{:<36}  {:<8}  {:>8}  {:>8}  {:<12}  {}\n", info.id, info.status, info.elapsed_secs,
               info.kv_pages_used, info.username, program);
  }
  return 0;
}

Result<int> attach(const PrefixOptions& options) {
  PIE_TRY_ASSIGN(const std::unique_ptr<Client> client, connect(options.connection));
  PIE_TRY_ASSIGN(const std::string id, find_instance(*client, options.prefix));
  PIE_TRY_ASSIGN(const Instance instance,
                 wait_for<Instance>([&](auto told) { client->attach(id, told); }));
  return follow(instance, OnInterrupt::kLeave);
}

Result<int> abort_instance(const PrefixOptions& options) {
  PIE_TRY_ASSIGN(const std::unique_ptr<Client> client, connect(options.connection));
  PIE_TRY_ASSIGN(const std::string id, find_instance(*client, options.prefix));
  PIE_TRY(wait_for<void>([&](auto told) { client->terminate(id, told); }));
  std::printf("%s\n", id.c_str());
  return 0;
}

struct LogsOptions {
  PrefixOptions instance;
  uint64_t bytes_max = 64 << 10;
  bool as_json = false;
};

Result<int> logs(const LogsOptions& options) {
  PIE_TRY_ASSIGN(const std::unique_ptr<Client> client, connect(options.instance.connection));
  PIE_TRY_ASSIGN(const std::string id, find_instance(*client, options.instance.prefix));
  const std::string record =
      fmt::format("{} {} {}", id, options.as_json ? "json" : "text", options.bytes_max);
  PIE_TRY_ASSIGN(const std::string text, wait_for<std::string>([&](auto told) {
                   client->query("instance_log", record, told);
                 }));
  fmt::print("{}{}", text, text.empty() || text.back() == '\n' ? "" : "\n");
  return 0;
}

Result<int> upload_only(const SubmitOptions& options) {
  PIE_TRY_ASSIGN(const std::unique_ptr<Client> client, connect(options.connection));
  PIE_TRY_ASSIGN(const std::string hash, upload(*client, options));
  fmt::print("{}\n", hash);
  return 0;
}

Result<int> ping(const Connection& connection) {
  PIE_TRY_ASSIGN(const std::unique_ptr<Client> client, connect(connection));
  PIE_TRY(wait_for<void>([&](auto told) { client->ping(told); }));
  std::printf("Pong\n");
  return 0;
}

void add_connection_options(CLI::App& command, Connection& connection) {
  command.add_option("--server", connection.server,
                     "Address of the server, ws://HOST:PORT (the one that serves PIE_HOME, else "
                     "ws://127.0.0.1:8080)");
  command.add_option("--user", connection.user, "Who you are to the server ($USER)");
  command.add_option(
      "--key", connection.key_file,
      "File of your private key, for a server that asks for one: ~/.ssh/id_ed25519, say");
}

void add_submit(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<SubmitOptions>();
  CLI::App* command = app.add_subcommand("submit", "Launch a program on a running server");
  command->add_option("program", options->name, "Name (of yours or the registry's), or a hash");
  command->add_option("arguments", options->arguments, "The program's arguments, after --");
  command->add_option("-p,--path", options->wasm_path, "Upload this .wasm file and launch it");
  command->add_option("-m,--manifest", options->manifest_path, "Its manifest, with -p")
      ->needs("--path");
  command->add_flag("-d,--detached", options->detached,
                    "Print the instance's id and leave; `pie attach` shows what it said");
  command
      ->add_option("--port", options->http_port,
                   "Serve HTTP on this port of the server's machine: an HTTP program")
      ->check(CLI::Range(1, 65535));
  add_connection_options(*command, options->connection);
  command->footer(
      "Streams the program's output; Ctrl-C terminates it. Exits with 0 when it completed.\n"
      "Examples:\n"
      "  pie submit text-completion -- --prompt \"What is the capital of France?\"\n"
      "  pie submit -d -p my_inferlet.wasm -m my_inferlet.toml -- argument\n"
      "  pie submit --port 9000 -p my_server.wasm\n");
  on_call(command, exit_code, [options] { return submit(*options); });
}

void add_list(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ListOptions>();
  CLI::App* command = app.add_subcommand("list", "List your instances, newest first");
  command->add_flag("--json", options->as_json, "As a JSON array");
  add_connection_options(*command, options->connection);
  command->footer("Example:\n  pie list --json\n");
  on_call(command, exit_code, [options] { return list(*options); });
}

void add_attach(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<PrefixOptions>();
  CLI::App* command =
      app.add_subcommand("attach", "Show what a detached instance said and says until it ends");
  command->add_option("id", options->prefix, "The instance's id, or how it begins")->required();
  add_connection_options(*command, options->connection);
  command->footer("Ctrl-C leaves the instance running.\nExample:\n  pie attach 3f2a\n");
  on_call(command, exit_code, [options] { return attach(*options); });
}

void add_abort(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<PrefixOptions>();
  CLI::App* command = app.add_subcommand("abort", "Terminate an instance");
  command->add_option("id", options->prefix, "The instance's id, or how it begins")->required();
  add_connection_options(*command, options->connection);
  command->footer("Example:\n  pie abort 3f2a\n");
  on_call(command, exit_code, [options] { return abort_instance(*options); });
}

void add_upload(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<SubmitOptions>();
  CLI::App* command = app.add_subcommand("upload", "Upload a program and print its hash");
  command->add_option("wasm", options->wasm_path, "The .wasm file")->required();
  command->add_option("manifest", options->manifest_path, "Its manifest: then it has a name, too");
  add_connection_options(*command, options->connection);
  command->footer("Example:\n  pie upload my_inferlet.wasm my_inferlet.toml\n");
  on_call(command, exit_code, [options] { return upload_only(*options); });
}

void add_logs(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<LogsOptions>();
  CLI::App* command =
      app.add_subcommand("logs", "Print the last that an instance said, and leave it in its log");
  command->add_option("id", options->instance.prefix, "The instance's id, or how it begins")
      ->required();
  command->add_option("-n,--bytes", options->bytes_max, "At most so many bytes [65536]");
  command->add_flag("--json", options->as_json, "As a JSON array of events");
  add_connection_options(*command, options->instance.connection);
  command->footer(
      "Shows what nobody has received yet; `pie attach` receives it.\n"
      "Example:\n  pie logs 3f2a --json\n");
  on_call(command, exit_code, [options] { return logs(*options); });
}

void add_ping(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Connection>();
  CLI::App* command = app.add_subcommand("ping", "Ask whether the server answers");
  add_connection_options(*command, *options);
  command->footer("Example:\n  pie ping --server ws://127.0.0.1:8080\n");
  on_call(command, exit_code, [options] { return ping(*options); });
}

}  // namespace

void add_client_commands(CLI::App& app, int& exit_code) {
  add_submit(app, exit_code);
  add_list(app, exit_code);
  add_attach(app, exit_code);
  add_abort(app, exit_code);
  add_ping(app, exit_code);
  add_upload(app, exit_code);
  add_logs(app, exit_code);
}

}  // namespace pie::cli
