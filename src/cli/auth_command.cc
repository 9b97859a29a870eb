#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/json_text.h"
#include "base/utf8.h"
#include "cli/commands.h"
#include "cli/on_call.h"
#include "cli/standard_streams.h"
#include "crypto/public_key.h"
#include "server/config.h"
#include "server/server.h"
#include "store/authorized_users.h"

namespace pie::cli {
namespace {

struct AuthOptions {
  std::string user;
  std::string key_name;
  std::string key_file;
  bool as_json = false;
};

std::filesystem::path users_file() {
  const auto home = server::default_home();
  std::error_code ignored;
  std::filesystem::create_directories(home, ignored);
  return server::authorized_users_file(home);
}

Result<void> add(const AuthOptions& options) {
  std::string text;
  if (!options.key_file.empty()) {
    PIE_TRY_ASSIGN(text, read_file(options.key_file));
  } else {
    if (::isatty(STDIN_FILENO) != 0)
      complain("Paste the public key, then Ctrl-D (or: pie auth add " + options.user +
               " < key.pub)\n");
    PIE_TRY_ASSIGN(text, read_standard_input());
  }
  PIE_TRY_ASSIGN(const std::vector<std::string> names,
                 store::add_user_keys(users_file(), options.user, options.key_name, text));
  PIE_TRY_ASSIGN(const std::vector<crypto::PublicKey> keys, crypto::PublicKey::parse_all(text));
  for (size_t i = 0; i < keys.size(); ++i) {
    say("{} may sign in with the key {} ({} {})\n", options.user, names[i],
        crypto::to_string(keys[i].kind()), keys[i].fingerprint());
  }
  return {};
}

Result<void> remove(const AuthOptions& options) {
  const std::optional<std::string> key_name =
      options.key_name.empty() ? std::nullopt : std::optional(options.key_name);
  PIE_TRY(store::remove_user_key(users_file(), options.user, key_name));
  if (key_name) say("{} may no longer sign in with the key {}\n", options.user, *key_name);
  if (!key_name) say("{} may no longer sign in\n", options.user);
  return {};
}

/// Kind and fingerprint of a key, or why it is no use.
std::pair<std::string, std::string> describe(const std::string& text) {
  const auto key = crypto::PublicKey::parse(text);
  if (!key.ok()) return {"unusable", key.error().message};
  return {fmt::format("{} {}", crypto::to_string(key->kind()), key->bits()), key->fingerprint()};
}

Result<void> list(const AuthOptions& options) {
  PIE_TRY_ASSIGN(const store::UserKeys users, store::read_authorized_users(users_file()));
  std::string rows;
  for (const auto& [user, keys] : users) {
    for (const auto& [name, text] : keys) {
      const auto [kind, fingerprint] = describe(text);
      if (options.as_json) {
        rows +=
            fmt::format("{}\n  {{\"user\": {}, \"key\": {}, \"kind\": {}, \"fingerprint\": {}}}",
                        rows.empty() ? "" : ",", json_text(user), json_text(name), json_text(kind),
                        json_text(fingerprint));
      } else {
        rows += fmt::format("{:<20}  {:<12}  {:<16}  {}\n", user, printable_line(name), kind,
                            printable_line(fingerprint));
      }
    }
  }
  if (options.as_json) {
    say("[{}{}]\n", rows, rows.empty() ? "" : "\n");
  } else if (rows.empty()) {
    say("nobody is authorized yet: pie auth add USER < key.pub\n");
  } else {
    say("{:<20}  {:<12}  {:<16}  {}\n{}", "USER", "KEY", "KIND", "FINGERPRINT", rows);
  }
  return {};
}

}  // namespace

void add_auth_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<AuthOptions>();
  CLI::App* auth = app.add_subcommand("auth", "Say who may use a server that asks for keys");
  auth->require_subcommand(1);
  auth->footer(
      "The users of `pie serve --auth`; a running server takes changes at once.\n"
      "Examples:\n"
      "  pie auth add ann < ~/.ssh/id_ed25519.pub\n"
      "  pie auth list\n"
      "  pie auth remove ann\n");

  CLI::App* adding = auth->add_subcommand("add", "Let a user sign in with a key, or several");
  adding->add_option("user", options->user, "The user's name")->required();
  adding->add_option("keyname", options->key_name, "What to call the key (key1, key2, ...)");
  adding->add_option("--file", options->key_file, "The public key's file, instead of stdin");
  adding->footer(
      "Takes OpenSSH public keys and PEM: Ed25519, RSA from 2048 bits, ECDSA P-256 and P-384. Of "
      "a\n"
      "text with several keys it adds all; blank lines and lines that begin with # are passed "
      "over.\n"
      "Examples:\n  pie auth add ann laptop < ~/.ssh/id_ed25519.pub\n"
      "  cat keys/*.pub | pie auth add ann\n");
  on_call(adding, exit_code, [options] { return add(*options); });

  CLI::App* removing = auth->add_subcommand("remove", "Take a key away, or the user with all keys");
  removing->add_option("user", options->user, "The user's name")->required();
  removing->add_option("keyname", options->key_name, "One key; without it the whole user");
  removing->footer("Example:\n  pie auth remove ann laptop\n");
  on_call(removing, exit_code, [options] { return remove(*options); });

  CLI::App* listing = auth->add_subcommand("list", "Show users and keys");
  listing->add_flag("--json", options->as_json, "As a JSON array");
  listing->footer("Example:\n  pie auth list --json\n");
  on_call(listing, exit_code, [options] { return list(*options); });
}

}  // namespace pie::cli
