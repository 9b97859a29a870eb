#include "crypto/private_key.h"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <cstring>
#include <memory>
#include <string>

#include "base/utf8.h"
#include "crypto/openssh_key.h"
#include "crypto/ssh_wire.h"

namespace pie::crypto {
namespace detail {

void PkeyDeleter::operator()(evp_pkey_st* key) const { EVP_PKEY_free(key); }

Error key_error(std::string_view what) {
  return Error{ErrorCode::kInvalidArgument, fmt::format("[private key] {}", what)};
}

}  // namespace detail

namespace {

using detail::key_error;
using detail::openssl_reason;
using detail::PkeyPtr;

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

size_t count_of(std::string_view text, std::string_view what) {
  size_t count = 0;
  for (size_t at = text.find(what); at != std::string_view::npos; at = text.find(what, at + 1))
    ++count;
  return count;
}

/// The cipher that a PEM file of the older kind names ("DEK-Info: DES-CBC,..."), else "".
std::string dek_cipher(std::string_view text) {
  constexpr std::string_view kHeader = "DEK-Info: ";
  const size_t at = text.find(kHeader);
  if (at == std::string_view::npos) return {};
  const std::string_view value = text.substr(at + kHeader.size());
  return std::string(value.substr(0, value.find_first_of(",\r\n")));
}

bool is_served_cipher(const std::string& name) {
  struct CipherDeleter {
    void operator()(EVP_CIPHER* cipher) const { EVP_CIPHER_free(cipher); }
  };
  const std::unique_ptr<EVP_CIPHER, CipherDeleter> cipher(
      EVP_CIPHER_fetch(nullptr, name.c_str(), nullptr));
  ERR_clear_error();
  return cipher != nullptr;
}

/// Whether a decoding failed because OpenSSL does not serve the cipher. Looks through its errors.
bool lacks_a_cipher() {
  bool lacks = false;
  while (const unsigned long code = ERR_get_error())
    lacks =
        lacks || (ERR_GET_LIB(code) == ERR_LIB_EVP && ERR_GET_REASON(code) == ERR_R_UNSUPPORTED);
  return lacks;
}

Error unserved_cipher(const std::string& name) {
  return key_error(fmt::format(
      "got a key encrypted by a cipher that is not served{}{}, expected AES: `ssh-keygen "
      "-p -f FILE` or `openssl pkcs8 -topk8 -v2 aes256` with OpenSSL's legacy provider "
      "rewrites it",
      name.empty() ? "" : ": ", printable_line(name)));
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
  if (const std::string name = dek_cipher(text); !name.empty() && !is_served_cipher(name))
    return unserved_cipher(name);
  if (given && passphrase.was_asked && lacks_a_cipher()) return unserved_cipher("");
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
  if (const size_t count = count_of(text, "PRIVATE KEY-----") / 2; count > 1) {
    return key_error(fmt::format(
        "got {} private keys in one file, expected one: keep each in a file of its own", count));
  }
  const bool is_openssh = contains(text, "BEGIN OPENSSH PRIVATE KEY");
  Result<PkeyPtr> key =
      is_openssh ? detail::parse_openssh_key(text, passphrase) : parse_pem(text, passphrase);
  if (!key.ok()) return std::move(key).error();
  PIE_TRY_ASSIGN(const KeyKind kind, detail::kind_of(key->get(), "private key"));
  return PrivateKey(std::move(*key), kind);
}

int PrivateKey::bits() const { return EVP_PKEY_get_bits(key_.get()); }

Result<std::string> PrivateKey::sign(std::string_view message) const {
  const detail::DigestContextPtr context(EVP_MD_CTX_new());
  const EVP_MD* digest = detail::digest_of(kind_);
  const auto* bytes = detail::bytes_of(message);
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
