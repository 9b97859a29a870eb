#include "server/config.h"

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include <algorithm>
#include <cstdlib>
#include <system_error>

#include "base/file.h"
#include "base/toml_text.h"
#include "server/settings.h"

namespace pie::server {
namespace {

namespace fs = std::filesystem;

Error wrong(const fs::path& file, const toml::source_region& where, const std::string& what) {
  return {ErrorCode::kInvalidArgument,
          "[" + file.string() + " line " + std::to_string(where.begin.line) + "] " + what};
}

Result<void> read_value(const fs::path& file, const toml::node& node, Setting& setting) {
  const bool is_text = std::holds_alternative<std::string*>(setting.place) ||
                       std::holds_alternative<fs::path*>(setting.place);
  const bool is_list = std::holds_alternative<Setting::Texts*>(setting.place);
  const bool is_bool = std::holds_alternative<bool*>(setting.place);
  std::string text = "something else";
  bool is_right = false;
  if (const auto value = node.value<std::string>(); value && node.is_string()) {
    text = *value;
    is_right = is_text;
  } else if (node.is_boolean()) {
    text = *node.value<bool>() ? "true" : "false";
    is_right = is_bool;
  } else if (node.is_integer()) {
    text = std::to_string(*node.value<int64_t>());
    is_right = !is_text && !is_bool && !is_list;
  } else if (const auto* array = node.as_array(); array && is_list) {
    Setting::Texts texts;
    for (const auto& one : *array)
      if (const auto item = one.value<std::string>(); item && one.is_string())
        texts.push_back(*item);
    if (texts.size() == array->size()) {
      *std::get<Setting::Texts*>(setting.place) = std::move(texts);
      return {};
    }
  }
  if (is_right && setting.set(text).ok()) return {};
  return wrong(file, node.source(),
               "got " + text + " for '" + setting.key() + "', expected " + setting.expected());
}

/// Reads one table. A key that nobody knows is an error: a misspelt limit must not go unnoticed.
Result<void> read_table(const fs::path& file, const toml::table& table, std::string_view section,
                        std::vector<Setting>& all, Origins& origins) {
  std::vector<std::string> known;
  for (const Setting& one : all) {
    if (one.section == section) known.emplace_back(one.name);
    if (section.empty() && !one.section.empty() && known.back() != one.section)
      known.emplace_back(one.section);
  }
  for (const auto& [key, node] : table) {
    const auto is_table = [&](const Setting& one) { return one.section == key.str(); };
    if (section.empty() && node.is_table() && std::any_of(all.begin(), all.end(), is_table)) {
      PIE_TRY(read_table(file, *node.as_table(), key.str(), all, origins));
      continue;
    }
    const auto found = std::find_if(all.begin(), all.end(), [&](const Setting& one) {
      return one.section == section && one.name == key.str();
    });
    if (found == all.end())
      return wrong(file, key.source(),
                   "got the unknown key '" + std::string(key.str()) + "'" +
                       (section.empty() ? "" : " in [" + std::string(section) + "]") +
                       ", expected a known one; the nearest is '" + nearest(key.str(), known) +
                       "'");
    PIE_TRY(read_value(file, node, *found));
    origins[found->key()] = file.string();
  }
  return {};
}

Result<void> read_environment(std::vector<Setting>& all, Origins& origins) {
  for (Setting& one : all) {
    const char* text = std::getenv(one.variable().c_str());
    if (text == nullptr || *text == '\0') continue;
    if (auto done = one.set(text); !done.ok())
      return std::move(done).error().within(one.variable());
    origins[one.key()] = one.variable();
  }
  return {};
}

}  // namespace

Result<void> read_config_text(const fs::path& file, const std::string& text, Config& config,
                              Origins& origins) {
  const auto ascii = ascii_toml(text);
  if (!ascii.ok())
    return Error{ErrorCode::kInvalidArgument, "[" + file.string() + "] " + ascii.error().message};
  const toml::parse_result parsed = toml::parse(*ascii, file.string());
  if (!parsed)
    return wrong(file, parsed.error().source(),
                 "got: " + std::string(parsed.error().description()));
  auto all = settings(config);
  return read_table(file, parsed.table(), "", all, origins);
}

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

Result<Config> load_config(const fs::path& home, Origins* origins) {
  Config config;
  config.home = home;
  config.share = default_share();
  Origins ignored;
  Origins& told = origins ? *origins : ignored;
  const fs::path file = config_file(home);
  auto text = read_file(file);
  if (!text.ok() && text.error().code != ErrorCode::kNotFound) return std::move(text).error();
  if (text.ok()) PIE_TRY(read_config_text(file, *text, config, told));
  auto all = settings(config);
  PIE_TRY(read_environment(all, told));
  return config;
}

fs::path config_file(const fs::path& home) { return home / "config.toml"; }

}  // namespace pie::server
