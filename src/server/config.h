#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/result.h"

namespace pie::server {

/// How the `pie` command reaches a server; "" = as its flags' help says.
struct ClientSettings {
  std::string server;  ///< ws://HOST:PORT or wss://HOST:PORT
  std::string user;
  std::string key;      ///< file of the private key
  std::string ca_file;  ///< PEM
};

/// Everything that `pie` can be told.
struct Config {
  std::filesystem::path home;            ///< PIE_HOME: all state
  std::filesystem::path cache;           ///< compiled programs; empty = home/cache
  std::filesystem::path share;           ///< the installation's models, registry and SDK
  std::filesystem::path python_runtime;  ///< component; empty = share/python-runtime.wasm
  std::string host = "127.0.0.1";
  uint16_t port = 8080;  ///< 0 = a free one
  std::string model;     ///< a GGUF file, or the name of an installed one; "" = the default;
                         ///< ALIAS=FILE gives it a further name
  std::vector<std::string> models;         ///< further ones, each with an engine of its own
  bool auth = false;                       ///< clients prove who they are (protocol.md, section 5)
  std::filesystem::path tls_certificate;   ///< PEM chain; with tls_key the server speaks wss://
  std::filesystem::path tls_key;           ///< PEM
  std::vector<std::string> origins_allow;  ///< of pages that may connect (net/ws_handshake.h)
  std::vector<std::string> http_allow;     ///< hosts for programs' requests (net/host_policy.h)
  std::filesystem::path http_ca_file;      ///< trusted for those beside the system's certificates
  bool allow_unauthenticated_network = false;
  std::string executor = "auto";     ///< auto, native or ggml (exec/open_executor.h)
  uint32_t model_threads = 0;        ///< of a step; 0 = as the machine has (base/machine.h)
  uint32_t worker_threads = 0;       ///< of programs; 0 = the same, at most 8
  uint32_t kv_pages = 0;             ///< of the pool; 0 = by the machine's memory (sizes.h)
  std::string kv_format = "f16";     ///< of those pages: f16, bf16 or q8 (exec/executor.h)
  uint32_t step_tokens_max = 0;      ///< 0 = 512, fewer where memory is short
  uint64_t step_ms_max = 100;        ///< of a step while programs decode; 0 = unlimited
  bool prefix_cache = true;          ///< what was computed of a text is not computed again
  bool prefix_cache_shared = false;  ///< nor for another user
  uint64_t swap_bytes_max = 0;       ///< KV pages on disk; 0 = by the free disk space
  uint64_t snapshot_user_bytes_max = 4ULL << 30;  ///< named contexts of one user, on disk
  uint64_t seed = 0;  ///< of the samplers; 0 = from the machine's random source
  ServerLimits limits;
  ClientSettings client;
};

inline constexpr const char* kDefaultModel = "smollm2-135m-instruct";

/// PIE_HOME, or ~/.pie.
std::filesystem::path default_home();
/// PIE_SHARE, or ../share/pie beside the executable's folder.
std::filesystem::path default_share();
/// Where settings come from that are not defaults: key -> file or environment variable.
using Origins = std::map<std::string, std::string>;

std::filesystem::path config_file(const std::filesystem::path& home);
/// Takes over what the text of a config.toml sets. kInvalidArgument names file, line, what was got
/// and what is expected; of an unknown key the nearest one.
Result<void> read_config_text(const std::filesystem::path& file, const std::string& text,
                              Config& config, Origins& origins);
/// Defaults, then what `home`/config.toml sets, then the environment (settings.h). An absent file
/// is fine.
Result<Config> load_config(const std::filesystem::path& home, Origins* origins = nullptr);

}  // namespace pie::server
