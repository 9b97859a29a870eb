#include "crypto/public_key.h"

#include "fuzz.h"

/// A key's text, a zero byte, a signature: a key that is taken comes back
/// from its own line, and judges any signature without harm.
void pie::fuzz::fuzz(std::string_view input) {
  const size_t cut = input.find('\0');
  const auto key = crypto::PublicKey::parse(input.substr(0, cut));
  if (!key.ok()) {
    MUST(!key.error().message.empty());
    return;
  }
  const auto again = crypto::PublicKey::parse(key->openssh_line());
  MUST(again.ok() && again->fingerprint() == key->fingerprint());
  if (cut == std::string_view::npos || key->bits() > 8'192) return;
  static_cast<void>(key->verify("challenge", input.substr(cut + 1)));
}
