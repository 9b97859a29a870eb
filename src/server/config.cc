#include "server/config.h"

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include <cstdlib>
#include <sstream>
#include <system_error>

#include "base/file.h"
#include "base/toml_text.h"

namespace pie::server {
namespace {

namespace fs = std::filesystem;

/// One table of the file being read; remembers the first thing that is wrong.
class Reader {
 public:
  Reader(const toml::table& table, std::string where) : table_(table), where_(std::move(where)) {}

  template <class Integer>
  void number(std::string_view key, Integer& value) {
    seen_.push_back(std::string(key));
    const toml::node* node = table_.get(key);
    if (!node) return;
    const auto got = node->value<int64_t>();
    if (!node->is_integer() || *got < 0 ||
        static_cast<uint64_t>(*got) > std::numeric_limits<Integer>::max())
      return wrong(key, "a number that is not negative");
    value = static_cast<Integer>(*got);
  }
  void text(std::string_view key, std::string& value) {
    seen_.push_back(std::string(key));
    const toml::node* node = table_.get(key);
    if (node && !node->is_string()) return wrong(key, "text");
    if (node) value = *node->value<std::string>();
  }
  /// Tells of a key that nobody asked for: a misspelt limit must not go unnoticed.
  Result<void> finish() {
    for (const auto& [key, node] : table_) {
      bool known = node.is_table();
      for (const auto& one : seen_) known = known || one == key.str();
      if (!known) wrong(key.str(), "a known key");
    }
    return error_.empty() ? Result<void>() : Error{ErrorCode::kInvalidArgument, error_};
  }

 private:
  void wrong(std::string_view key, std::string_view expected) {
    if (!error_.empty()) return;
    error_.append("[").append(where_).append("] got something else for '").append(key);
    error_.append("', expected ").append(expected);
  }

  const toml::table& table_;
  const std::string where_;
  std::vector<std::string> seen_;
  std::string error_;
};

Result<void> read_limits(const toml::table& table, const std::string& where, Limits& limits) {
  Reader read(table, where + " limits");
  read.number("frame_bytes_max", limits.frame_bytes_max);
  read.number("program_bytes_max", limits.program_bytes_max);
  read.number("blob_bytes_max", limits.blob_bytes_max);
  read.number("mailbox_bytes_max", limits.mailbox_bytes_max);
  read.number("instances_per_user_max", limits.instances_per_user_max);
  read.number("requests_pending_max", limits.requests_pending_max);
  read.number("outbox_bytes_max", limits.outbox_bytes_max);
  read.number("log_bytes_max", limits.log_bytes_max);
  read.number("memory_bytes_max", limits.memory_bytes_max);
  read.number("cpu_ns_max", limits.cpu_ns_max);
  read.number("handles_max", limits.handles_max);
  read.number("output_bytes_max", limits.output_bytes_max);
  read.number("kv_pages_max", limits.kv_pages_max);
  read.number("user_memory_bytes_max", limits.user_memory_bytes_max);
  read.number("user_cpu_s_per_hour_max", limits.user_cpu_s_per_hour_max);
  read.number("user_kv_pages_max", limits.user_kv_pages_max);
  read.number("user_output_bytes_per_hour_max", limits.user_output_bytes_per_hour_max);
  read.number("user_log_bytes_max", limits.user_log_bytes_max);
  read.number("grace_s", limits.grace_s);
  read.number("finished_kept_s", limits.finished_kept_s);
  return read.finish();
}

}  // namespace

fs::path default_home() {
  if (const char* home = std::getenv("PIE_HOME"); home && *home) return home;
  const char* user = std::getenv("HOME");
  return fs::path(user && *user ? user : ".") / ".pie";
}

fs::path default_share() {
  if (const char* share = std::getenv("PIE_SHARE"); share && *share) return share;
  std::error_code failed;
  const fs::path self = fs::read_symlink("/proc/self/exe", failed);
  return self.parent_path().parent_path() / "share" / "pie";
}

Result<Config> load_config(const fs::path& home) {
  Config config;
  config.home = home;
  config.share = default_share();
  const fs::path file = home / "config.toml";
  auto text = read_file(file);
  if (!text.ok() && text.error().code == ErrorCode::kNotFound) return config;
  if (!text.ok()) return std::move(text).error();
  const auto ascii = ascii_toml(*text);
  if (!ascii.ok())
    return Error{ErrorCode::kInvalidArgument, "[" + file.string() + "] " + ascii.error().message};
  const toml::parse_result parsed = toml::parse(*ascii, file.string());
  if (!parsed) {
    std::ostringstream why;
    why << "[" << file.string() << "] got: " << parsed.error().description() << " (line "
        << parsed.error().source().begin.line << ")";
    return Error{ErrorCode::kInvalidArgument, why.str()};
  }
  Reader read(parsed.table(), file.string());
  read.text("host", config.host);
  read.number("port", config.port);
  read.text("model", config.model);
  read.number("model_threads", config.model_threads);
  read.number("worker_threads", config.worker_threads);
  read.number("kv_pages", config.kv_pages);
  read.number("step_tokens_max", config.step_tokens_max);
  PIE_TRY(read.finish());
  if (const auto* limits = parsed.table().get_as<toml::table>("limits"))
    PIE_TRY(read_limits(*limits, file.string(), config.limits));
  return config;
}

}  // namespace pie::server
