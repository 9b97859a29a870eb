#include "crypto/private_key.h"

#include "crypto/base64.h"
#include "fuzz.h"

namespace {

/// Whether a key file asks for more rounds of bcrypt than a fuzzer has time for.
bool takes_long(std::string_view text) {
  const size_t begin = text.find('\n');
  const size_t end = text.rfind("-----END");
  if (begin == std::string_view::npos || end == std::string_view::npos || end < begin) return false;
  const auto bytes = pie::crypto::base64_decode(text.substr(begin, end - begin));
  if (!bytes.ok()) return false;
  const size_t kdf = bytes->find("bcrypt");
  if (kdf == std::string::npos) return false;
  pie::fuzz::Source options(std::string_view(*bytes).substr(kdf + 6));
  options.u32();
  options.bytes(options.u32());
  return options.u32() > 2;
}

}  // namespace

/// Key files, with a passphrase and without; a key that is taken must sign.
void pie::fuzz::fuzz(std::string_view input) {
  const auto plain = crypto::PrivateKey::parse(input);
  if (plain.ok() && plain->bits() <= 8'192) MUST(plain->sign("challenge").ok());
  // The iterations of PKCS#8's key derivation are the file's own: OpenSSL's business, not ours.
  if (input.find("OPENSSH") == std::string_view::npos || takes_long(input)) return;
  static_cast<void>(crypto::PrivateKey::parse(input, "secret").ok());
}
