#include "server/settings.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace pie::server {
namespace {

constexpr std::string_view kLimits = "limits";
constexpr std::string_view kClient = "client";
constexpr uint64_t kFrameBytesMin = 512 << 10;  // a chunk of 256 KiB and what goes with it
constexpr uint64_t kWasmPageBytes = 64 << 10;   // no program runs in less
constexpr uint64_t kThreadsMax = 1024;
constexpr uint64_t kStepMsMax = 3'600'000;
constexpr uint64_t kSecondsMax = 1'000'000'000;  // 31 years; in nanoseconds it fits 64 bits

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::vector<Setting> settings(Config& c) {
  ServerLimits& l = c.limits;
  ClientSettings& own = c.client;
  return {
      {"", "host", &c.host, "address to listen on"},
      {"", "port", &c.port, "port to listen on; 0 takes a free one"},
      {"", "model", &c.model, "GGUF file, or the name of an installed model; empty: the default"},
      {"", "models", &c.models, "further models, each FILE, NAME or ALIAS=FILE"},
      {"", "auth", &c.auth, "ask clients for their keys (pie auth)"},
      {"", "tls_certificate", &c.tls_certificate, "PEM chain; with tls_key the server is wss://"},
      {"", "tls_key", &c.tls_key, "PEM private key of the certificate"},
      {"", "origins_allow", &c.origins_allow,
       "origins of web pages that may connect, each SCHEME://HOST[:PORT], null or * (any). Clients "
       "that are no browsers send none and may always"},
      {"", "http_allow", &c.http_allow,
       "hosts that programs may send HTTP requests to, each [http://|https://]HOST[:PORT|:*]; HOST "
       "is a name, *.NAME, * (any), an address or a range like 10.0.0.0/8. Names reach public "
       "addresses alone: local and private ones must be named by address or range"},
      {"", "http_ca_file", &c.http_ca_file,
       "PEM certificates trusted for those requests beside the system's"},
      {"", "python_runtime", &c.python_runtime,
       "component that runs Python programs; empty: the installation's"},
      {"", "executor", &c.executor,
       "auto, native (our kernels) or ggml (any tensor type; the reference)"},
      {"", "model_threads", &c.model_threads,
       "threads of a step; 0: physical cores, or the quota of processor time", 0, kThreadsMax},
      {"", "worker_threads", &c.worker_threads, "threads of programs; 0: the same, at most 8", 0,
       kThreadsMax},
      {"", "kv_pages", &c.kv_pages,
       "KV pages of the pool; 0: half of the memory that the weights leave"},
      {"", "kv_format", &c.kv_format,
       "K and V in those pages: f16, bf16, or q8 (half the memory); native executor"},
      {"", "step_tokens_max", &c.step_tokens_max,
       "tokens of one step; 0: 512, fewer where memory is short"},
      {"", "step_ms_max", &c.step_ms_max,
       "milliseconds of a step while programs decode: longer prompts go in smaller pieces then; 0: "
       "unlimited",
       0, kStepMsMax},
      {"", "prefix_cache", &c.prefix_cache, "KV pages of texts computed before are used again"},
      {"", "prefix_cache_shared", &c.prefix_cache_shared,
       "also those of other users, who can tell by the time it takes"},
      {"", "swap_bytes_max", &c.swap_bytes_max,
       "KV pages that wait on disk; 0: by the free disk space; 1: none"},
      {"", "snapshot_user_bytes_max", &c.snapshot_user_bytes_max,
       "contexts that a user's programs keep on disk"},
      {kLimits, "frame_bytes_max", &l.frame_bytes_max, "one WebSocket message", kFrameBytesMin},
      {kLimits, "program_bytes_max", &l.program_bytes_max, "one program"},
      {kLimits, "blob_bytes_max", &l.blob_bytes_max, "one blob from a client"},
      {kLimits, "mailbox_bytes_max", &l.instance.mailbox_bytes_max,
       "sent to an instance and not yet received"},
      {kLimits, "instances_per_user_max", &l.user.instances_max, "instances that run", 1},
      {kLimits, "requests_pending_max", &l.requests_pending_max,
       "unanswered requests of one connection", 1},
      {kLimits, "uploads_pending_max", &l.uploads_pending_max,
       "unfinished uploads of one connection", 1},
      {kLimits, "outbox_bytes_max", &l.outbox_bytes_max, "answers that a client does not read",
       kFrameBytesMin},
      {kLimits, "connections_max", &l.connections_max, "connections; more wait until one ends", 1},
      {kLimits, "strangers_per_address_max", &l.strangers_per_address_max,
       "connections of one address that have not signed in; more are refused", 1},
      {kLimits, "identify_s", &l.identify_s, "a connection that has not signed in is closed then",
       1, kSecondsMax},
      {kLimits, "ping_interval_s", &l.ping_interval_s,
       "between pings; a client silent for three is taken for gone", 1, kSecondsMax},
      {kLimits, "log_bytes_max", &l.instance.log_bytes_max, "undelivered output of one instance",
       1},
      {kLimits, "memory_bytes_max", &l.instance.memory_bytes_max, "memory of one instance",
       kWasmPageBytes},
      {kLimits, "cpu_ns_max", &l.instance.cpu_ns_max, "CPU time of one instance; 0: unlimited"},
      {kLimits, "handles_max", &l.instance.handles_max, "host objects of one instance", 1},
      {kLimits, "output_bytes_max", &l.instance.output_bytes_max, "all that one instance says", 1},
      {kLimits, "kv_pages_max", &l.instance.kv_pages_max, "KV pages of one instance; 0: the pool"},
      {kLimits, "children_max", &l.instance.children_max,
       "instances that one instance has launched and that live"},
      {kLimits, "child_generations_max", &l.instance.child_generations_max,
       "generations of them below the instance that a client launched"},
      {kLimits, "http_calls_max", &l.http_calls_max, "requests of programs to others, at once", 1},
      {kLimits, "http_unread_s_max", &l.http_unread_s_max,
       "seconds after which a response that its program does not read is given up", 1, kSecondsMax},
      {kLimits, "http_connections_max", &l.http_connections_max,
       "connections of one HTTP instance; more wait", 1},
      {kLimits, "http_header_bytes_max", &l.http_header_bytes_max,
       "header of one request to an HTTP instance", 1'024, 1 << 20},
      {kLimits, "http_body_bytes_max", &l.http_body_bytes_max,
       "body of one request to an HTTP instance"},
      {kLimits, "http_header_s_max", &l.http_header_s_max,
       "seconds in which the header of a request must come", 1, kSecondsMax},
      {kLimits, "http_request_s_max", &l.http_request_s_max,
       "seconds that a program may take for one request", 1, kSecondsMax},
      {kLimits, "user_memory_bytes_max", &l.user.memory_bytes_max,
       "memory of a user's instances; 0: unlimited"},
      {kLimits, "user_cpu_s_per_hour_max", &l.user.cpu_s_per_hour_max,
       "CPU seconds of a user in an hour; 0: unlimited", 0, kSecondsMax},
      {kLimits, "user_kv_pages_max", &l.user.kv_pages_max,
       "KV pages of a user's instances and exports; 0: unlimited"},
      {kLimits, "user_output_bytes_per_hour_max", &l.user.output_bytes_per_hour_max,
       "output of a user in an hour; 0: unlimited"},
      {kLimits, "user_log_bytes_max", &l.user.log_bytes_max,
       "undelivered output of a user's instances, and their arguments; 0: unlimited"},
      {kLimits, "user_program_bytes_max", &l.user.program_bytes_max,
       "programs that a user has uploaded; 0: unlimited"},
      {kLimits, "user_kvs_bytes_max", &l.user.kvs_bytes_max,
       "keys and values that a user's programs keep; 0: unlimited"},
      {kLimits, "user_host_bytes_max", &l.user.host_bytes_max,
       "what the server's memory holds for a user's instances and connections; 0: unlimited"},
      {kLimits, "user_spool_bytes_max", &l.user.spool_bytes_max,
       "uploads and blobs of a user that wait on disk; 0: unlimited"},
      {kLimits, "user_connections_max", &l.user.connections_max,
       "connections that a user has signed in on; 0: unlimited"},
      {kLimits, "user_receive_bytes_max", &l.user.receive_bytes_max,
       "messages of a user that are still coming, together; more wait; 0: unlimited"},
      {kLimits, "user_http_calls_max", &l.user.http_calls_max,
       "requests of a user's programs to others, at once; 0: unlimited"},
      {kLimits, "total_memory_bytes_max", &l.total.memory_bytes_max,
       "memory of all users' instances and what the server holds for them; 0: by the machine"},
      {kLimits, "total_receive_bytes_max", &l.total.receive_bytes_max,
       "messages of all users that are still coming; more wait; 0: a sixteenth of the memory"},
      {kLimits, "compiled_disk_bytes_max", &l.compiled_disk_bytes_max,
       "compiled programs in the cache folder; those used longest ago go first"},
      {kLimits, "compiled_memory_bytes_max", &l.compiled_memory_bytes_max,
       "programs kept ready in memory, by the size of their wasm"},
      {kLimits, "disk_reserve_bytes", &l.disk_reserve_bytes,
       "free disk that uploads and launches leave to what runs; 0: by the disk; 1: none"},
      {kLimits, "grace_s", &l.grace_s, "an attached launch without its client goes on so long", 0,
       kSecondsMax},
      {kLimits, "finished_kept_s", &l.finished_kept_s, "an end that nobody fetches is kept so long",
       0, kSecondsMax},
      {kClient, "server", &own.server,
       "what pie submit, list, ... talk to, ws://HOST:PORT; empty: the one that serves PIE_HOME"},
      {kClient, "user", &own.user, "who they say they are; empty: $USER"},
      {kClient, "key", &own.key, "file of the private key, if the server asks for one"},
      {kClient, "ca_file", &own.ca_file,
       "PEM certificates that wss:// trusts besides the system's"},
  };
}

std::string nearest(std::string_view word, const std::vector<std::string>& known) {
  const auto best = std::min_element(known.begin(), known.end(), [&](const auto& a, const auto& b) {
    return edit_distance(word, a) < edit_distance(word, b);
  });
  return best == known.end() ? "" : *best;
}

Result<Setting> find_setting(Config& config, std::string_view key) {
  std::vector<std::string> known;
  for (const Setting& one : settings(config)) {
    if (one.key() == key) return one;
    known.push_back(one.key());
  }
  return Error{ErrorCode::kInvalidArgument,
               "[config] got the key '" + std::string(key) +
                   "', expected one that `pie config show` lists; the nearest is '" +
                   nearest(key, known) + "'"};
}

}  // namespace pie::server
