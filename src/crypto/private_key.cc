#include "crypto/private_key.h"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "crypto/openssh_key.h"

namespace pie::crypto {
namespace detail {

void PkeyDeleter::operator()(evp_pkey_st* key) const { EVP_PKEY_free(key); }

std::string openssl_reason() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? "no reason given" : reason;
}

Error key_error(std::string_view what) {
  return Error{ErrorCode::kInvalidArgument, fmt::format("[private key] {}", what)};
}

}  // namespace detail

namespace {

using detail::key_error;
using detail::openssl_reason;
using detail::PkeyPtr;

constexpr int kRsaBitsMin = 2048;

struct Passphrase {
  std::optional<std::string_view> text;
  bool was_asked = false;
};

/// OpenSSL's pem_password_cb; without one it would ask on the terminal.
int give_passphrase(char* out, int size, int, void* data) {
  auto* passphrase = static_cast<Passphrase*>(data);
  passphrase->was_asked = true;
  if (!passphrase->text || passphrase->text->size() > static_cast<size_t>(size)) return -1;
  std::memcpy(out, passphrase->text->data(), passphrase->text->size());
  return static_cast<int>(passphrase->text->size());
}

Result<PkeyPtr> parse_pem(std::string_view text, std::optional<std::string_view> given) {
  struct BioDeleter {
    void operator()(BIO* bio) const { BIO_free(bio); }
  };
  const std::unique_ptr<BIO, BioDeleter> bio(
      BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  Passphrase passphrase{given};
  PkeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, give_passphrase, &passphrase));
  if (key) return key;
  const std::string reason = openssl_reason();
  if (!passphrase.was_asked) {
    return key_error(
        fmt::format("got PEM text that OpenSSL cannot read ({}), expected a PKCS#8, "
                    "PKCS#1 or SEC1 private key",
                    reason));
  }
  if (!given) return key_error("got an encrypted key and no passphrase, expected passphrase=");
  return key_error("got a wrong passphrase (or a damaged key)");
}

/// Which of the served kinds it is, or why it is none.
Result<KeyKind> kind_of(const EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "ED25519")) return KeyKind::kEd25519;
  if (EVP_PKEY_is_a(key, "RSA")) {
    const int bits = EVP_PKEY_get_bits(key);
    if (bits >= kRsaBitsMin) return KeyKind::kRsa;
    return key_error(
        fmt::format("got a weak RSA key of {} bits, expected {} or more", bits, kRsaBitsMin));
  }
  std::string what;
  if (EVP_PKEY_is_a(key, "EC")) {
    std::array<char, 80> group{};
    EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group.data(), group.size(),
                                   nullptr);
    const std::string_view name(group.data());
    if (name == "prime256v1" || name == "P-256") return KeyKind::kEcdsaP256;
    if (name == "secp384r1" || name == "P-384") return KeyKind::kEcdsaP384;
    what = fmt::format("ECDSA on {}", name);
  } else {
    const char* name = EVP_PKEY_get0_type_name(key);
    what = name == nullptr ? "unknown" : name;
  }
  return key_error(fmt::format(
      "got a key of the unsupported kind '{}', expected Ed25519, RSA or ECDSA on P-256 or P-384",
      what));
}

bool contains(std::string_view text, std::string_view what) {
  return text.find(what) != std::string_view::npos;
}

}  // namespace

std::string_view to_string(KeyKind kind) {
  switch (kind) {
    case KeyKind::kEd25519: return "Ed25519";
    case KeyKind::kRsa: return "RSA";
    case KeyKind::kEcdsaP256: return "ECDSA P-256";
    case KeyKind::kEcdsaP384: return "ECDSA P-384";
  }
  return "unknown";
}

Result<PrivateKey> PrivateKey::parse(std::string_view text,
                                     std::optional<std::string_view> passphrase) {
  if (contains(text, "PuTTY-User-Key-File")) {
    return key_error("got a PuTTY key, expected OpenSSH or PEM (PuTTYgen exports OpenSSH keys)");
  }
  if (!contains(text, "PRIVATE KEY-----")) {
    const bool is_public =
        text.starts_with("ssh-") || text.starts_with("ecdsa-") || contains(text, "PUBLIC KEY-----");
    return key_error(is_public ? "got a public key, expected the private one"
                               : "got text that is no key, expected OpenSSH or PEM");
  }
  const bool is_openssh = contains(text, "BEGIN OPENSSH PRIVATE KEY");
  Result<PkeyPtr> key =
      is_openssh ? detail::parse_openssh_key(text, passphrase) : parse_pem(text, passphrase);
  if (!key.ok()) return std::move(key).error();
  PIE_TRY_ASSIGN(const KeyKind kind, kind_of(key->get()));
  return PrivateKey(std::move(*key), kind);
}

int PrivateKey::bits() const { return EVP_PKEY_get_bits(key_.get()); }

Result<std::string> PrivateKey::sign(std::string_view message) const {
  struct ContextDeleter {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  const std::unique_ptr<EVP_MD_CTX, ContextDeleter> context(EVP_MD_CTX_new());
  const EVP_MD* digest = nullptr;  // Ed25519 brings its own
  if (kind_ == KeyKind::kRsa || kind_ == KeyKind::kEcdsaP256) digest = EVP_sha256();
  if (kind_ == KeyKind::kEcdsaP384) digest = EVP_sha384();
  const auto* bytes = reinterpret_cast<const unsigned char*>(message.data());
  size_t size = 0;
  // An RSA key's default padding in OpenSSL is PKCS#1 v1.5.
  const bool is_ready =
      context && EVP_DigestSignInit(context.get(), nullptr, digest, nullptr, key_.get()) == 1 &&
      EVP_DigestSign(context.get(), nullptr, &size, bytes, message.size()) == 1;
  std::string signature(size, '\0');
  if (!is_ready || EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()),
                                  &size, bytes, message.size()) != 1) {
    return Error{ErrorCode::kInternal,
                 fmt::format("[sign] {}: {}", to_string(kind_), openssl_reason())};
  }
  signature.resize(size);
  return signature;
}

}  // namespace pie::crypto
