#include <fmt/format.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "base/file.h"
#include "base/json_text.h"
#include "cli/commands.h"
#include "cli/config_file.h"
#include "cli/on_call.h"
#include "cli/standard_streams.h"
#include "server/config.h"
#include "server/config_text.h"
#include "server/settings.h"

namespace pie::cli {
namespace {

struct ConfigOptions {
  std::string key;
  std::string value;
  bool force = false;
  bool as_json = false;
  bool with_origin = false;
};

Result<void> init(const ConfigOptions& options) {
  const auto file = config_file_of_home();
  if (std::filesystem::exists(file) && !options.force)
    return Error{ErrorCode::kAlreadyExists,
                 "[" + file.string() +
                     "] got a file that is there already, expected none; --force "
                     "replaces it"};
  PIE_TRY(write_file_atomically(file, server::initial_config_text()));
  say("{}\n", file.string());
  return {};
}

Result<void> show(const ConfigOptions& options) {
  server::Origins origins;
  PIE_TRY_ASSIGN(server::Config config, server::load_config(server::default_home(), &origins));
  std::string json;
  for (const auto& one : server::settings(config)) {
    const auto from = origins.find(one.key());
    const std::string origin = from == origins.end() ? "default" : from->second;
    if (options.as_json) {
      json += fmt::format("{}\n  {}: {{\"value\": {}, \"origin\": {}}}", json.empty() ? "" : ",",
                          json_text(one.key()), one.toml(), json_text(origin));
    } else if (options.with_origin) {
      say("{:<38} {:<24} {}\n", one.key(), one.toml(), origin);
    } else {
      say("{} = {}\n", one.key(), one.toml());
    }
  }
  if (options.as_json) say("{{{}\n}}\n", json);
  return {};
}

Result<void> get(const ConfigOptions& options) {
  PIE_TRY_ASSIGN(server::Config config, server::load_config(server::default_home()));
  PIE_TRY_ASSIGN(const server::Setting one, server::find_setting(config, options.key));
  say("{}\n", one.plain());
  return {};
}

}  // namespace

void add_config_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ConfigOptions>();
  CLI::App* config = app.add_subcommand("config", "Look at and change PIE_HOME/config.toml");
  config->require_subcommand(1);
  config->footer(
      "Flags win over the environment (PIE_PORT, PIE_LIMITS_HANDLES_MAX, ...), that over the "
      "file.\n"
      "Examples:\n"
      "  pie config init\n"
      "  pie config set port 9000\n"
      "  pie config set limits.user_kv_pages_max 2000\n"
      "  pie config set client.key ~/.ssh/id_ed25519\n"
      "  pie config show --origin\n");

  CLI::App* initial = config->add_subcommand("init", "Write a file with every setting, commented");
  initial->add_flag("--force", options->force, "Replace a file that is there");
  initial->footer("Example:\n  pie config init\n");
  on_call(initial, exit_code, [options] { return init(*options); });

  CLI::App* showing = config->add_subcommand("show", "Show what holds");
  showing->add_flag("--json", options->as_json, "As a JSON object");
  showing->add_flag("--origin", options->with_origin, "With where each value comes from");
  showing->footer("Example:\n  pie config show --origin\n");
  on_call(showing, exit_code, [options] { return show(*options); });

  CLI::App* getting = config->add_subcommand("get", "Print one value");
  getting->add_option("key", options->key, "The setting")->required();
  getting->footer("Example:\n  pie config get port\n");
  on_call(getting, exit_code, [options] { return get(*options); });

  CLI::App* setting = config->add_subcommand("set", "Change one value in the file");
  setting->add_option("key", options->key, "The setting")->required();
  setting->add_option("value", options->value, "Its new value")->required();
  setting->footer("Example:\n  pie config set port 9000\n");
  on_call(setting, exit_code,
          [options] { return change_config_file(options->key, options->value); });
}

}  // namespace pie::cli
