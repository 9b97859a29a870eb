#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace pie::server {

/// Bounds of one server; each has a clear error when it is met.
struct Limits {
  uint64_t frame_bytes_max = 16ULL << 20;
  uint64_t program_bytes_max = 256ULL << 20;
  uint64_t blob_bytes_max = 1ULL << 30;        ///< from a client
  uint64_t mailbox_bytes_max = 2ULL << 30;     ///< sent to an instance and not yet received
  uint32_t instances_per_user_max = 8'192;     ///< that run
  uint32_t requests_pending_max = 1'024;       ///< of one connection
  uint32_t uploads_pending_max = 32;           ///< unfinished, of one connection
  uint64_t outbox_bytes_max = 64ULL << 20;     ///< of one connection
  uint32_t connections_max = 4'096;            ///< more wait in the kernel's queue
  uint32_t strangers_per_address_max = 1'024;  ///< connections that have not signed in
  uint64_t identify_s = 30;                    ///< a connection signs in so fast, or is closed
  uint64_t ping_interval_s = 20;         ///< a client silent for three of them is taken for gone
  uint64_t log_bytes_max = 64ULL << 20;  ///< undelivered, of one instance
  uint64_t memory_bytes_max = 512ULL << 20;  ///< linear memories of one instance
  uint64_t cpu_ns_max = 0;                   ///< of one instance; 0 = unlimited
  uint32_t handles_max = 100'000;            ///< live host objects of one instance
  uint64_t output_bytes_max = 256ULL << 20;  ///< all that one instance says
  uint32_t kv_pages_max = 0;                 ///< of one instance; 0 = the pool
  uint32_t http_connections_max = 256;       ///< of one HTTP instance; more wait
  uint64_t http_header_bytes_max = 32ULL << 10;
  uint64_t http_body_bytes_max = 64ULL << 20;  ///< of one request to an HTTP instance
  uint64_t http_header_s_max = 10;             ///< a request's header comes within
  uint64_t http_request_s_max = 300;           ///< one request's program runs so long
  // Of one user together; 0 = unlimited. `internal` has none of them.
  uint64_t user_memory_bytes_max = 0;
  uint64_t user_cpu_s_per_hour_max = 0;
  uint32_t user_kv_pages_max = 0;
  uint64_t user_output_bytes_per_hour_max = 0;
  uint64_t user_log_bytes_max = 4ULL << 30;      ///< logs not yet delivered, arguments of instances
  uint64_t user_program_bytes_max = 4ULL << 30;  ///< programs uploaded and their manifests
  uint64_t user_kvs_bytes_max = 1ULL << 30;      ///< keys and values that a user's programs keep
  // Of the server.
  uint64_t compiled_disk_bytes_max = 4ULL << 30;    ///< compiled programs in the cache folder
  uint64_t compiled_memory_bytes_max = 1ULL << 30;  ///< programs kept ready, by their wasm's size
  uint64_t grace_s = 600;             ///< an attached launch that lost its client goes on so long
  uint64_t finished_kept_s = 86'400;  ///< an end that nobody fetched is kept so long
};

/// How the `pie` command reaches a server; "" = as its flags' help says.
struct ClientSettings {
  std::string server;  ///< ws://HOST:PORT or wss://HOST:PORT
  std::string user;
  std::string key;      ///< file of the private key
  std::string ca_file;  ///< PEM
};

/// Everything that `pie` can be told.
struct Config {
  std::filesystem::path home;   ///< PIE_HOME: all state
  std::filesystem::path cache;  ///< compiled programs; empty = home/cache
  std::filesystem::path share;  ///< the installation's models, registry and SDK
  std::string host = "127.0.0.1";
  uint16_t port = 8080;  ///< 0 = a free one
  std::string model;     ///< a GGUF file, or the name of an installed one; "" = the default;
                         ///< ALIAS=FILE gives it a further name
  std::vector<std::string> models;        ///< further ones, each with an engine of its own
  bool auth = false;                      ///< clients prove who they are (protocol.md, section 5)
  std::filesystem::path tls_certificate;  ///< PEM chain; with tls_key the server speaks wss://
  std::filesystem::path tls_key;          ///< PEM
  std::vector<std::string> http_allow;    ///< hosts for programs' requests (net/host_policy.h)
  std::filesystem::path http_ca_file;     ///< trusted for those beside the system's certificates
  bool allow_unauthenticated_network = false;
  std::string executor = "auto";  ///< auto, native or ggml (exec/open_executor.h)
  uint32_t model_threads = 0;     ///< of a step; 0 = all cores
  uint32_t worker_threads = 0;    ///< of programs; 0 = as many as cores, at most 8
  uint32_t kv_pages = 0;          ///< of the pool; 0 = by the machine's memory
  std::string kv_format = "f16";  ///< of those pages: f16, bf16 or q8 (exec/executor.h)
  uint32_t step_tokens_max = 512;
  bool prefix_cache = true;          ///< what was computed of a text is not computed again
  bool prefix_cache_shared = false;  ///< nor for another user
  uint64_t swap_bytes_max = 0;       ///< KV pages on disk; 0 = by the free disk space
  uint64_t snapshot_user_bytes_max = 4ULL << 30;  ///< named contexts of one user, on disk
  uint64_t seed = 0;  ///< of the samplers; 0 = from the machine's random source
  Limits limits;
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
