#pragma once
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "crypto/private_key.h"

/// What reading SSH's keys and OpenSSL's have in common; for this layer alone.
namespace pie::crypto::detail {

template <class T, void (*kFree)(T*)>
struct OpensslDeleter {
  void operator()(T* p) const { kFree(p); }
};
using BignumPtr = std::unique_ptr<BIGNUM, OpensslDeleter<BIGNUM, BN_clear_free>>;
using BuilderPtr =
    std::unique_ptr<OSSL_PARAM_BLD, OpensslDeleter<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free>>;
using ParamsPtr = std::unique_ptr<OSSL_PARAM, OpensslDeleter<OSSL_PARAM, OSSL_PARAM_free>>;
using PkeyContextPtr =
    std::unique_ptr<EVP_PKEY_CTX, OpensslDeleter<EVP_PKEY_CTX, EVP_PKEY_CTX_free>>;
using DigestContextPtr = std::unique_ptr<EVP_MD_CTX, OpensslDeleter<EVP_MD_CTX, EVP_MD_CTX_free>>;
using CipherContextPtr =
    std::unique_ptr<EVP_CIPHER_CTX, OpensslDeleter<EVP_CIPHER_CTX, EVP_CIPHER_CTX_free>>;
using BnContextPtr = std::unique_ptr<BN_CTX, OpensslDeleter<BN_CTX, BN_CTX_free>>;

inline const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

/// Reads SSH's wire types (RFC 4251, section 5). After the end everything is empty and ok() false.
class SshReader {
 public:
  explicit SshReader(std::string_view bytes) : rest_(bytes) {}
  bool ok() const { return ok_; }
  std::string_view rest() const { return rest_; }

  std::string_view take(size_t n);
  uint32_t u32();
  std::string_view string() { return take(u32()); }
  BignumPtr number();

 private:
  std::string_view rest_;
  bool ok_ = true;
};

/// Appends the same types.
class SshWriter {
 public:
  void string(std::string_view bytes);
  void number(const BIGNUM* value);  ///< not negative
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

/// What OpenSSL says about its last failure on this thread; clears it.
std::string openssl_reason();

/// A key of OpenSSL's from its numbers. `selection` is EVP_PKEY_KEYPAIR or EVP_PKEY_PUBLIC_KEY;
/// null when they do not make a key (openssl_reason() says why).
PkeyPtr key_from_params(const char* kind, OSSL_PARAM_BLD* builder, int selection);

/// Which of the served kinds it is, or why it is none; `what` names the input in the error.
Result<KeyKind> kind_of(const EVP_PKEY* key, std::string_view what);

/// The digest that a kind signs with; null: Ed25519 brings its own.
const EVP_MD* digest_of(KeyKind kind);

}  // namespace pie::crypto::detail
