#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

struct evp_pkey_st;

namespace pie::crypto {

namespace detail {
struct PkeyDeleter {
  void operator()(evp_pkey_st* key) const;
};
using PkeyPtr = std::unique_ptr<evp_pkey_st, PkeyDeleter>;
}  // namespace detail

/// What keys the protocol knows; how each signs is fixed by its kind.
enum class KeyKind {
  kEd25519,    ///< RFC 8032
  kRsa,        ///< 2048 bits or more; PKCS#1 v1.5 with SHA-256
  kEcdsaP256,  ///< SHA-256, DER (r, s)
  kEcdsaP384,  ///< SHA-384, DER (r, s)
};
std::string_view to_string(KeyKind kind);

/// An SSH private key. Signing is const and thread-safe.
class PrivateKey {
 public:
  /// Parses OpenSSH's own format ("BEGIN OPENSSH PRIVATE KEY"), PKCS#8 (plain or encrypted), PKCS#1
  /// and SEC1 PEM. kInvalidArgument says what is wrong with it: not a key, encrypted and no
  /// passphrase, a wrong passphrase, too weak (RSA below 2048 bits), of a kind that is not served.
  static Result<PrivateKey> parse(std::string_view text,
                                  std::optional<std::string_view> passphrase = std::nullopt);

  KeyKind kind() const { return kind_; }
  /// RSA's modulus, or the size of the curve's field, in bits.
  int bits() const;
  /// The signature's bytes over `message`, as the kind says.
  Result<std::string> sign(std::string_view message) const;

 private:
  PrivateKey(detail::PkeyPtr key, KeyKind kind) : key_(std::move(key)), kind_(kind) {}

  detail::PkeyPtr key_;
  KeyKind kind_;
};

}  // namespace pie::crypto
