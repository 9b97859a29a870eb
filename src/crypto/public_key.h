#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crypto/private_key.h"

namespace pie::crypto {

/// The public half of an SSH key: judges signatures. Immutable and thread-safe.
class PublicKey {
 public:
  /// Parses a text with one key: an OpenSSH line ("ssh-ed25519 AAAA... comment") or PEM
  /// (SubjectPublicKeyInfo, and PKCS#1 of RSA). kInvalidArgument says what is wrong with it: no
  /// key, a private key, options in front, too weak (RSA below 2048 bits), of a kind that is not
  /// served.
  static Result<PublicKey> parse(std::string_view text);
  /// Parses a text of any number of them, as authorized_keys(5) and `cat *.pub` give it: blank
  /// lines, lines that begin with '#' and a byte order mark are passed over. At least one; one that
  /// is wrong is the whole text's error, which names the line.
  static Result<std::vector<PublicKey>> parse_all(std::string_view text);

  KeyKind kind() const { return kind_; }
  /// RSA's modulus, or the size of the curve's field, in bits.
  int bits() const;
  /// Whether `signature` over `message` was made with the private half, in the kind's own scheme
  /// (protocol.md, section 5, clause 4).
  bool verify(std::string_view message, std::string_view signature) const;

  /// "ssh-ed25519 AAAA...", without a comment.
  std::string openssh_line() const;
  /// "SHA256:...", as `ssh-keygen -l` prints it.
  std::string fingerprint() const;

 private:
  PublicKey(detail::PkeyPtr key, KeyKind kind) : key_(std::move(key)), kind_(kind) {}
  std::string wire() const;

  std::shared_ptr<evp_pkey_st> key_;
  KeyKind kind_;
};

}  // namespace pie::crypto
