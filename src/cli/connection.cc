#include "cli/connection.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <utility>
#include <vector>

#include "base/file.h"
#include "cli/config_file.h"
#include "cli/key_file.h"
#include "client/wait.h"
#include "server/config.h"
#include "server/server.h"

namespace pie::cli {
namespace {

using client::Client;
using client::InstanceInfo;
using client::wait_for;

constexpr const char* kDefaultServer = "ws://127.0.0.1:8080";
constexpr size_t kCandidatesMax = 20;

std::string server_of_home() {
  const Result<std::string> url = read_file(server::url_file(server::default_home()));
  return url.ok() ? url->substr(0, url->find('\n')) : kDefaultServer;
}

std::string name_of_account() {
  const char* user = std::getenv("USER");
  return user != nullptr && *user != '\0' ? user : "local";
}

/// What was given, else what is configured, else `otherwise`.
std::string first_of(const std::string& given, const std::string& configured,
                     const std::string& otherwise = "") {
  return !given.empty() ? given : !configured.empty() ? configured : otherwise;
}

/// A path that means the same from every folder.
std::string from_anywhere(const std::string& path) {
  if (path.starts_with("~/")) return path;
  std::error_code failed;
  const auto absolute = std::filesystem::absolute(path, failed);
  return failed ? path : absolute.string();
}

Result<void> remember(const ConnectionOptions& given) {
  if (!given.server.empty()) PIE_TRY(change_config_file("client.server", given.server));
  if (!given.user.empty()) PIE_TRY(change_config_file("client.user", given.user));
  if (!given.key_file.empty())
    PIE_TRY(change_config_file("client.key", from_anywhere(given.key_file)));
  if (!given.ca_file.empty())
    PIE_TRY(change_config_file("client.ca_file", from_anywhere(given.ca_file)));
  return {};
}

Result<void> sign_in(Client& client, const std::string& user, const std::string& key_file) {
  client::KeyRef key;
  if (!key_file.empty()) {
    PIE_TRY_ASSIGN(key, load_key(key_file));
  }
  auto done = wait_for<void>([&](auto told) { client.authenticate(user, key, told); });
  if (done.ok() || done.error().code != ErrorCode::kPermissionDenied) return done;
  Error error = std::move(done).error();
  error.message += "; give --user and --key of somebody whom `pie auth list` shows there";
  return error;
}

}  // namespace

void add_connection_options(CLI::App& command, ConnectionOptions& connection) {
  const std::string group = "Connection";
  command
      .add_option("--server", connection.server,
                  "Address of the server, ws://HOST:PORT or wss://HOST:PORT")
      ->group(group);
  command.add_option("--user", connection.user, "Who you are to the server [$USER]")->group(group);
  command
      .add_option("--key", connection.key_file,
                  "File of your private key, for a server that asks for one: ~/.ssh/id_ed25519, "
                  "say; PIE_KEY_PASSPHRASE, or you, give its passphrase")
      ->group(group);
  command
      .add_option("--ca-file", connection.ca_file,
                  "PEM certificates that wss:// trusts besides the system's")
      ->group(group);
  command
      .add_flag("--save", connection.save,
                "Remember the four above, as far as given, in PIE_HOME/config.toml")
      ->group(group);
}

Result<Connected> connect(const ConnectionOptions& given) {
  PIE_TRY_ASSIGN(const server::Config config, server::load_config(server::default_home()));
  const server::ClientSettings& set = config.client;
  std::string server = first_of(given.server, set.server);
  if (server.empty()) server = server_of_home();
  Connected connected{
      std::make_unique<Client>(client::ClientOptions{
          .uri = server, .ca_file = first_of(given.ca_file, set.ca_file), .confirms_events = true}),
      server};
  Client& client = *connected.client;
  if (auto done = wait_for<void>([&](auto told) { client.connect(told); }); !done.ok()) {
    Error error = std::move(done).error();
    error.message += "; is the server running? (`pie serve` starts one)";
    return error;
  }
  PIE_TRY(sign_in(client, first_of(given.user, set.user, name_of_account()),
                  first_of(given.key_file, set.key)));
  if (given.save) PIE_TRY(remember(given));
  return connected;
}

Result<std::string> find_instance(Client& client, const std::string& prefix) {
  PIE_TRY_ASSIGN(
      const std::vector<InstanceInfo> instances,
      wait_for<std::vector<InstanceInfo>>([&](auto told) { client.list_instances(told); }));
  std::vector<InstanceInfo> found;
  for (const InstanceInfo& info : instances) {
    if (info.id == prefix) return prefix;
    if (info.id.starts_with(prefix)) found.push_back(info);
  }
  if (found.size() == 1) return found.front().id;
  if (found.empty()) {
    return Error{
        ErrorCode::kNotFound,
        fmt::format("no instance of yours begins with '{}' (`pie list` shows them)", prefix)};
  }
  std::string text =
      fmt::format("{} instances begin with '{}', give more of the id:", found.size(), prefix);
  for (const InstanceInfo& info : found) {
    if (&info - found.data() == kCandidatesMax) {
      text += fmt::format("\n  and {} more", found.size() - kCandidatesMax);
      break;
    }
    text += fmt::format("\n  {}  {:<8}  {}", info.id, info.status, info.cmd_name);
  }
  return Error{ErrorCode::kInvalidArgument, text};
}

}  // namespace pie::cli
