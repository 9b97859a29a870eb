#pragma once
#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "server/config.h"

namespace pie::cli {

/// What the command line says about a server; the rest comes from PIE_HOME/config.toml.
struct ServerOptions {
  std::optional<std::string> host;
  std::optional<uint16_t> port;
  std::vector<std::string> models;  ///< the default one first
  std::optional<uint32_t> model_threads;
  std::optional<uint32_t> worker_threads;
  std::optional<uint32_t> kv_pages;
  std::optional<std::string> kv_format;
  std::optional<bool> auth;
  std::optional<std::string> tls_certificate;
  std::optional<std::string> tls_key;
  bool allow_network = false;
  bool verbose = false;
};

/// The options that `pie serve` and `pie run` share.
void add_server_options(CLI::App& command, ServerOptions& options);

/// Defaults, then config.toml, then the command line.
Result<server::Config> make_config(const ServerOptions& options);

}  // namespace pie::cli
