#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <system_error>

#include "crypto/private_key.h"
#include "key_state.h"

namespace pie {
namespace {

std::filesystem::path expand_home(const std::filesystem::path& path) {
  const std::string text = path.string();
  const char* home = std::getenv("HOME");
  if (home == nullptr || (text != "~" && !text.starts_with("~/"))) return path;
  return std::filesystem::path(home + text.substr(1));
}

}  // namespace

ParsedPrivateKey::ParsedPrivateKey(std::shared_ptr<const State> state) : state_(std::move(state)) {}

ParsedPrivateKey ParsedPrivateKey::parse(std::string_view text,
                                         std::optional<std::string_view> passphrase) {
  Result<crypto::PrivateKey> key = crypto::PrivateKey::parse(text, passphrase);
  if (!key.ok()) throw InvalidKeyError(key.error().message);
  return ParsedPrivateKey(std::make_shared<const State>(
      State{std::make_shared<const crypto::PrivateKey>(std::move(*key))}));
}

ParsedPrivateKey ParsedPrivateKey::from_file(const std::filesystem::path& path,
                                             std::optional<std::string_view> passphrase) {
  const std::filesystem::path file = expand_home(path);
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  if (in) text << in.rdbuf();
  if (!in) throw std::system_error(errno, std::generic_category(), file.string());
  try {
    return parse(text.str(), passphrase);
  } catch (const InvalidKeyError& e) {
    throw InvalidKeyError(file.string() + ": " + e.what());
  }
}

std::string_view ParsedPrivateKey::kind() const { return crypto::to_string(state_->key->kind()); }
int ParsedPrivateKey::bits() const { return state_->key->bits(); }

std::string ParsedPrivateKey::sign(std::string_view message) const {
  Result<std::string> signature = state_->key->sign(message);
  if (!signature.ok()) throw InvalidKeyError(signature.error().message);
  return std::move(*signature);
}

}  // namespace pie
