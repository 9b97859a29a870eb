#include "crypto/openssh_key.h"

#include <fmt/format.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>

#include "crypto/base64.h"
#include "crypto/bcrypt_pbkdf.h"
#include "crypto/ssh_wire.h"

namespace pie::crypto::detail {
namespace {

constexpr std::string_view kBegin = "-----BEGIN OPENSSH PRIVATE KEY-----";
constexpr std::string_view kEnd = "-----END OPENSSH PRIVATE KEY-----";
constexpr std::string_view kMagic("openssh-key-v1\0", 15);
constexpr uint32_t kRoundsMax = 10'000;  // minutes of work; ssh-keygen's default is 24

struct Cipher {
  std::string_view ssh_name;
  const char* openssl_name;
  size_t key_bytes;
  size_t iv_bytes;
  size_t tag_bytes;
};
constexpr std::array<Cipher, 8> kCiphers{{{"aes256-ctr", "AES-256-CTR", 32, 16, 0},
                                          {"aes192-ctr", "AES-192-CTR", 24, 16, 0},
                                          {"aes128-ctr", "AES-128-CTR", 16, 16, 0},
                                          {"aes256-cbc", "AES-256-CBC", 32, 16, 0},
                                          {"aes192-cbc", "AES-192-CBC", 24, 16, 0},
                                          {"aes128-cbc", "AES-128-CBC", 16, 16, 0},
                                          {"aes256-gcm@openssh.com", "AES-256-GCM", 32, 12, 16},
                                          {"aes128-gcm@openssh.com", "AES-128-GCM", 16, 12, 16}}};

/// As key_from_params(), with the error.
Result<PkeyPtr> whole_key(const char* kind, OSSL_PARAM_BLD* builder) {
  PkeyPtr key = key_from_params(kind, builder, EVP_PKEY_KEYPAIR);
  if (key) return key;
  return key_error(
      fmt::format("got an {} key whose numbers are wrong ({})", kind, openssl_reason()));
}

Result<PkeyPtr> read_ed25519(SshReader& reader) {
  const std::string_view public_half = reader.string();
  const std::string_view both = reader.string();  // seed and public half
  if (!reader.ok() || both.size() != 64 || both.substr(32) != public_half) {
    return key_error(
        "got an Ed25519 key whose halves do not belong together, expected a whole one");
  }
  PkeyPtr key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, bytes_of(both), 32));
  std::array<unsigned char, 32> derived;
  size_t size = derived.size();
  if (!key || EVP_PKEY_get_raw_public_key(key.get(), derived.data(), &size) != 1 ||
      std::memcmp(derived.data(), public_half.data(), size) != 0) {
    return key_error(
        "got an Ed25519 key whose halves do not belong together, expected a whole one");
  }
  return key;
}

/// value mod (prime - 1): the exponents that OpenSSH does not store.
BignumPtr crt_exponent(const BIGNUM* value, const BIGNUM* prime) {
  const BnContextPtr context(BN_CTX_new());
  BignumPtr one_less(BN_dup(prime));
  BignumPtr out(BN_new());
  if (!context || !one_less || !out || BN_sub_word(one_less.get(), 1) != 1 ||
      BN_is_zero(one_less.get()) || BN_mod(out.get(), value, one_less.get(), context.get()) != 1) {
    return nullptr;
  }
  return out;
}

Result<PkeyPtr> read_rsa(SshReader& reader) {
  const BignumPtr n = reader.number();
  const BignumPtr e = reader.number();
  const BignumPtr d = reader.number();
  const BignumPtr inverse = reader.number();
  const BignumPtr p = reader.number();
  const BignumPtr q = reader.number();
  if (!reader.ok()) return key_error("got an RSA key that ends early, expected a whole one");
  const BignumPtr d_p = crt_exponent(d.get(), p.get());
  const BignumPtr d_q = crt_exponent(d.get(), q.get());
  const BuilderPtr builder(OSSL_PARAM_BLD_new());
  const bool is_built =
      builder && d_p && d_q &&
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) &&
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) &&
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_D, d.get()) &&
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_FACTOR1, p.get()) &&
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_FACTOR2, q.get()) &&
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_EXPONENT1, d_p.get()) &&
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_EXPONENT2, d_q.get()) &&
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_COEFFICIENT1, inverse.get());
  if (!is_built) return key_error("got an RSA key whose numbers are wrong, expected a whole one");
  return whole_key("RSA", builder.get());
}

Result<PkeyPtr> read_ecdsa(SshReader& reader, const char* group) {
  reader.string();  // the curve's name once more
  const std::string_view point = reader.string();
  const BignumPtr secret = reader.number();
  const BuilderPtr builder(OSSL_PARAM_BLD_new());
  const bool is_built =
      reader.ok() && builder && secret &&
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, group, 0) &&
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                       point.size()) &&
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_PRIV_KEY, secret.get());
  if (!is_built) return key_error("got an ECDSA key that ends early, expected a whole one");
  return whole_key("EC", builder.get());
}

Result<PkeyPtr> read_key(std::string_view type, SshReader& reader) {
  if (type == "ssh-ed25519") return read_ed25519(reader);
  if (type == "ssh-rsa") return read_rsa(reader);
  if (type == "ecdsa-sha2-nistp256") return read_ecdsa(reader, "P-256");
  if (type == "ecdsa-sha2-nistp384") return read_ecdsa(reader, "P-384");
  return key_error(fmt::format(
      "got a key of the unsupported kind '{}', expected Ed25519, RSA or ECDSA on P-256 or P-384",
      type));
}

Result<std::string> decrypt(const Cipher& cipher, std::string_view key_and_iv,
                            std::string_view sealed, std::string_view tag) {
  const CipherContextPtr context(EVP_CIPHER_CTX_new());
  const EVP_CIPHER* algorithm = EVP_get_cipherbyname(cipher.openssl_name);
  std::string plain(sealed.size() + 16, '\0');
  int size = 0;
  int more = 0;
  const unsigned char* key = bytes_of(key_and_iv);
  const bool is_open =
      context && algorithm &&
      EVP_DecryptInit_ex(context.get(), algorithm, nullptr, key, key + cipher.key_bytes) == 1 &&
      EVP_CIPHER_CTX_set_padding(context.get(), 0) == 1 &&
      (tag.empty() ||
       EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, static_cast<int>(tag.size()),
                           const_cast<char*>(tag.data())) == 1) &&
      EVP_DecryptUpdate(context.get(), reinterpret_cast<unsigned char*>(plain.data()), &size,
                        bytes_of(sealed), static_cast<int>(sealed.size())) == 1 &&
      EVP_DecryptFinal_ex(context.get(), reinterpret_cast<unsigned char*>(plain.data()) + size,
                          &more) == 1;
  if (!is_open) {
    openssl_reason();
    return key_error("got a wrong passphrase (or a damaged key)");
  }
  plain.resize(static_cast<size_t>(size) + static_cast<size_t>(more));
  return plain;
}

/// The envelope's private part in the clear.
Result<std::string> open_envelope(SshReader& reader, std::optional<std::string_view> passphrase) {
  const std::string_view cipher_name = reader.string();
  const std::string_view kdf_name = reader.string();
  SshReader kdf(reader.string());
  const uint32_t key_count = reader.u32();
  reader.string();  // the public key, which the private part repeats
  const std::string_view sealed = reader.string();
  if (!reader.ok()) return key_error("got an OpenSSH key that ends early, expected a whole one");
  if (key_count != 1)
    return key_error(fmt::format("got {} keys in one file, expected one", key_count));
  if (cipher_name == "none") return std::string(sealed);
  const auto* cipher = std::find_if(kCiphers.begin(), kCiphers.end(),
                                    [&](const Cipher& c) { return c.ssh_name == cipher_name; });
  if (cipher == kCiphers.end()) {
    return key_error(
        fmt::format("got the unsupported cipher '{}', expected AES (`ssh-keygen -p -Z "
                    "aes256-ctr` rewrites the key)",
                    cipher_name));
  }
  if (kdf_name != "bcrypt") {
    return key_error(
        fmt::format("got the unsupported key derivation '{}', expected 'bcrypt'", kdf_name));
  }
  if (!passphrase) return key_error("got an encrypted key and no passphrase, expected passphrase=");
  const std::string_view salt = kdf.string();
  const uint32_t rounds = kdf.u32();
  if (!kdf.ok() || rounds == 0 || rounds > kRoundsMax) {
    return key_error(fmt::format("got {} rounds of bcrypt, expected 1 to {}", rounds, kRoundsMax));
  }
  const std::string key_and_iv =
      bcrypt_pbkdf(*passphrase, salt, cipher->key_bytes + cipher->iv_bytes, rounds);
  return decrypt(*cipher, key_and_iv, sealed, reader.rest().substr(0, cipher->tag_bytes));
}

}  // namespace

Result<PkeyPtr> parse_openssh_key(std::string_view text,
                                  std::optional<std::string_view> passphrase) {
  const size_t begin = text.find(kBegin);
  const size_t end = text.find(kEnd);
  if (begin == std::string_view::npos || end == std::string_view::npos || end < begin) {
    return key_error("got an OpenSSH key without its END line, expected a whole one");
  }
  const size_t body = begin + kBegin.size();
  Result<std::string> bytes = base64_decode(text.substr(body, end - body));
  if (!bytes.ok())
    return key_error("got an OpenSSH key that is not base64: " + bytes.error().message);
  SshReader envelope(*bytes);
  if (envelope.take(kMagic.size()) != kMagic) {
    return key_error("got an OpenSSH key of another version, expected openssh-key-v1");
  }
  PIE_TRY_ASSIGN(const std::string plain, open_envelope(envelope, passphrase));
  SshReader reader(plain);
  const uint32_t check_1 = reader.u32();
  const uint32_t check_2 = reader.u32();
  if (!reader.ok() || check_1 != check_2) {
    return key_error(passphrase ? "got a wrong passphrase (or a damaged key)"
                                : "got a damaged key");
  }
  const std::string_view type = reader.string();
  return read_key(type, reader);
}

}  // namespace pie::crypto::detail
