#pragma once
#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "base/result.h"
#include "client/client.h"

namespace pie::cli {

/// How a command reaches a server, as far as its command line says so. What is "" comes from the
/// environment (PIE_CLIENT_SERVER, ...), then from [client] in config.toml; without these the
/// server is the one that serves PIE_HOME, else ws://127.0.0.1:8080, and the user is $USER.
struct ConnectionOptions {
  std::string server;
  std::string user;
  std::string key_file;
  std::string ca_file;
  bool save = false;  ///< remember in config.toml what was given, once the server has taken it
};

void add_connection_options(CLI::App& command, ConnectionOptions& connection);

struct Connected {
  std::unique_ptr<client::Client> client;
  std::string url;
};

/// Connects and signs in. Errors say what to do: start a server, give a key.
Result<Connected> connect(const ConnectionOptions& connection);

/// The one instance of the user's whose id begins with `prefix`. kNotFound; kInvalidArgument lists
/// the candidates.
Result<std::string> find_instance(client::Client& client, const std::string& prefix);

}  // namespace pie::cli
