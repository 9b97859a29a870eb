#include "cli/key_file.h"

#include <termios.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <utility>

#include "base/file.h"
#include "cli/standard_streams.h"
#include "crypto/private_key.h"

namespace pie::cli {
namespace {

/// A line from the terminal that is not shown; none without a terminal.
std::optional<std::string> ask_hidden(const std::string& question) {
  if (::isatty(STDIN_FILENO) == 0) return std::nullopt;
  termios before{};
  ::tcgetattr(STDIN_FILENO, &before);
  termios hidden = before;
  hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);  // before the question: fast fingers are not shown
  complain(question);
  std::string line;
  const bool is_read = static_cast<bool>(std::getline(std::cin, line));
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
  complain("\n");
  return is_read ? std::optional(line) : std::nullopt;
}

}  // namespace

Result<client::KeyRef> load_key(const std::string& path) {
  std::string file = path;
  const char* home = std::getenv("HOME");
  if (file.starts_with("~/") && home != nullptr) file = home + file.substr(1);
  PIE_TRY_ASSIGN(const std::string text, read_file(file));
  std::optional<std::string> passphrase;
  if (const char* given = std::getenv("PIE_KEY_PASSPHRASE")) passphrase = given;
  auto key = crypto::PrivateKey::parse(text, passphrase);
  if (!key.ok() && !passphrase && key.error().message.find("encrypted") != std::string::npos) {
    passphrase = ask_hidden("Passphrase of " + path + ": ");
    if (passphrase) key = crypto::PrivateKey::parse(text, passphrase);
  }
  if (!key.ok()) return std::move(key).error().within(path);
  return client::KeyRef(std::make_shared<const crypto::PrivateKey>(std::move(key).value()));
}

}  // namespace pie::cli
