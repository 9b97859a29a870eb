#include "server/settings.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <numeric>
#include <sstream>

#include "base/toml_text.h"

namespace pie::server {
namespace {

constexpr std::string_view kLimits = "limits";
constexpr std::string_view kClient = "client";
constexpr uint64_t kFrameBytesMin = 512 << 10;  // a chunk of 256 KiB and what goes with it
constexpr uint64_t kWasmPageBytes = 64 << 10;   // no program runs in less
constexpr uint64_t kThreadsMax = 1024;
constexpr uint64_t kSecondsMax = 1'000'000'000;  // 31 years; in nanoseconds it fits 64 bits

template <class Integer>
bool parse(std::string_view text, Integer& value) {
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  return failed == std::errc() && end == text.data() + text.size();
}

/// The texts between commas, without blanks around them; empty ones are none.
std::vector<std::string> comma_separated(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t end = std::min(text.find(','), text.size());
    const std::string_view part = text.substr(0, end);
    const size_t first = part.find_first_not_of(" \t"), last = part.find_last_not_of(" \t");
    if (first != part.npos) parts.emplace_back(part.substr(first, last - first + 1));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

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

std::string trimmed(std::string_view line) {
  const size_t first = line.find_first_not_of(" \t");
  return first == std::string_view::npos ? "" : std::string(line.substr(first));
}

/// Whether the line sets `name`.
bool sets(const std::string& line, std::string_view name) {
  const std::string text = trimmed(line);
  if (!text.starts_with(name)) return false;
  const size_t next = text.find_first_not_of(" \t", name.size());
  return next != std::string::npos && text[next] == '=';
}

/// The comment at the end of a line, with the blanks before it.
std::string comment_of(const std::string& line) {
  char quote = '\0';
  for (size_t i = 0; i < line.size(); ++i) {
    if (quote != '\0') {
      if (line[i] == '\\' && quote == '"')
        ++i;
      else if (line[i] == quote)
        quote = '\0';
    } else if (line[i] == '"' || line[i] == '\'') {
      quote = line[i];
    } else if (line[i] == '#') {
      const size_t text_end = line.find_last_not_of(" \t", i == 0 ? 0 : i - 1);
      return line.substr(text_end == std::string::npos ? i : text_end + 1);
    }
  }
  return "";
}

}  // namespace

std::string Setting::key() const {
  return section.empty() ? std::string(name) : std::string(section) + "." + std::string(name);
}

std::string Setting::variable() const {
  std::string out = "PIE_" + key();
  for (char& c : out) c = c == '.' ? '_' : static_cast<char>(std::toupper(c));
  return out;
}

std::string Setting::toml() const {
  return std::visit(
      [](const auto* value) -> std::string {
        using T = std::decay_t<decltype(*value)>;
        if constexpr (std::is_same_v<T, bool>) return *value ? "true" : "false";
        if constexpr (std::is_same_v<T, std::string>) return toml_string(*value);
        if constexpr (std::is_same_v<T, Texts>) {
          std::string list;
          for (const std::string& one : *value)
            list += (list.empty() ? "" : ", ") + toml_string(one);
          return "[" + list + "]";
        }
        if constexpr (std::is_same_v<T, std::filesystem::path>) return toml_string(value->string());
        if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>)
          return std::to_string(*value);
      },
      place);
}

std::string Setting::expected() const {
  return std::visit(
      [this](const auto* value) -> std::string {
        using T = std::decay_t<decltype(*value)>;
        if constexpr (std::is_same_v<T, bool>) return "true or false";
        if constexpr (std::is_same_v<T, std::string>) return "text";
        if constexpr (std::is_same_v<T, Texts>) return "a list of texts";
        if constexpr (std::is_same_v<T, std::filesystem::path>) return "a path, as text";
        if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>)
          return "a number from " + std::to_string(least) + " to " +
                 std::to_string(std::min<uint64_t>(std::numeric_limits<T>::max(), most));
      },
      place);
}

std::string Setting::plain() const {
  if (const auto* text = std::get_if<std::string*>(&place)) return **text;
  if (const auto* path = std::get_if<std::filesystem::path*>(&place)) return (*path)->string();
  if (const auto* texts = std::get_if<Texts*>(&place)) {
    std::string list;
    for (const std::string& one : **texts) list += (list.empty() ? "" : ",") + one;
    return list;
  }
  return toml();
}

Result<void> Setting::set(std::string_view text) {
  const bool is_right = std::visit(
      [&](auto* value) {
        using T = std::decay_t<decltype(*value)>;
        if constexpr (std::is_same_v<T, bool>) {
          *value = text == "true";
          return text == "true" || text == "false";
        } else if constexpr (std::is_integral_v<T>) {
          return parse(text, *value) && *value >= least && *value <= most;
        } else if constexpr (std::is_same_v<T, Texts>) {
          *value = comma_separated(text);
          return true;
        } else {
          *value = T(text);
          return true;
        }
      },
      place);
  if (is_right) return {};
  return Error{ErrorCode::kInvalidArgument,
               "[" + key() + "] got '" + std::string(text) + "', expected " + expected()};
}

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

std::string initial_config_text() {
  Config defaults;
  std::string text =
      "# Pie's configuration. What is commented out has the value that stands there.\n"
      "# Flags win over environment variables, those over this file: pie config show --origin\n";
  std::string_view section;
  for (const Setting& one : settings(defaults)) {
    if (one.section != section) text += "\n[" + std::string(section = one.section) + "]\n";
    text +=
        "# " + std::string(one.help) + "\n# " + std::string(one.name) + " = " + one.toml() + "\n";
  }
  return text;
}

Result<std::string> change_config_text(std::string text, std::string_view key,
                                       std::string_view value) {
  Config scratch;
  PIE_TRY_ASSIGN(Setting setting, find_setting(scratch, key));
  PIE_TRY(setting.set(value));
  const std::string fresh = std::string(setting.name) + " = " + setting.toml();
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  // The section's lines: from its header (or the top) to the next header.
  const auto is_header = [](const std::string& line) { return trimmed(line).starts_with("["); };
  auto begin = lines.begin();
  if (!setting.section.empty()) {
    const std::string header = "[" + std::string(setting.section) + "]";
    begin = std::find_if(lines.begin(), lines.end(),
                         [&](const auto& line) { return trimmed(line).starts_with(header); });
    if (begin == lines.end()) {
      lines.insert(lines.end(), {"", header});
      begin = lines.end() - 1;
    }
    ++begin;
  }
  const auto end = std::find_if(begin, lines.end(), is_header);
  const auto old =
      std::find_if(begin, end, [&](const auto& line) { return sets(line, setting.name); });
  if (old != end) {
    *old = fresh + comment_of(*old);
  } else {
    auto at = end;
    while (at != begin && trimmed(*(at - 1)).empty()) --at;
    lines.insert(at, fresh);
  }
  std::string out;
  for (const auto& line : lines) out += line + "\n";
  return out;
}

}  // namespace pie::server
