#include "crypto/public_key.h"

#include <fmt/format.h>
#include <openssl/core_names.h>
#include <openssl/pem.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/utf8.h"
#include "crypto/base64.h"
#include "crypto/ssh_wire.h"

namespace pie::crypto {
namespace {

using detail::bytes_of;
using detail::PkeyPtr;
using detail::SshReader;

constexpr size_t kTextBytesMax = 64 << 10;  // an RSA key of 16384 bits is 3 KiB

Error key_error(std::string_view what) {
  return Error{ErrorCode::kInvalidArgument, fmt::format("[public key] {}", what)};
}

std::string_view ssh_name(KeyKind kind) {
  switch (kind) {
    case KeyKind::kEd25519: return "ssh-ed25519";
    case KeyKind::kRsa: return "ssh-rsa";
    case KeyKind::kEcdsaP256: return "ecdsa-sha2-nistp256";
    case KeyKind::kEcdsaP384: return "ecdsa-sha2-nistp384";
  }
  return "";
}

std::optional<KeyKind> kind_named(std::string_view name) {
  for (const KeyKind kind :
       {KeyKind::kEd25519, KeyKind::kRsa, KeyKind::kEcdsaP256, KeyKind::kEcdsaP384})
    if (ssh_name(kind) == name) return kind;
  return std::nullopt;
}

std::string_view curve_of(KeyKind kind) {
  return kind == KeyKind::kEcdsaP256 ? "nistp256" : "nistp384";
}

PkeyPtr read_numbers(KeyKind kind, SshReader& reader) {
  if (kind == KeyKind::kEd25519) {
    const std::string_view point = reader.string();
    return PkeyPtr(
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes_of(point), point.size()));
  }
  const detail::BuilderPtr builder(OSSL_PARAM_BLD_new());
  if (kind == KeyKind::kRsa) {
    const detail::BignumPtr e = reader.number();
    const detail::BignumPtr n = reader.number();
    if (!builder || !e || !n ||
        OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
        OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1)
      return nullptr;
    return detail::key_from_params("RSA", builder.get(), EVP_PKEY_PUBLIC_KEY);
  }
  const char* group = kind == KeyKind::kEcdsaP256 ? "prime256v1" : "secp384r1";
  const bool is_curve = reader.string() == curve_of(kind);
  const std::string_view point = reader.string();
  if (!is_curve || !builder ||
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, group, 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                       point.size()) != 1)
    return nullptr;
  return detail::key_from_params("EC", builder.get(), EVP_PKEY_PUBLIC_KEY);
}

/// A line of authorized_keys(5) without options: kind, base64, comment.
Result<PkeyPtr> parse_line(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const size_t name_end = text.find_first_of(kBlank);
  const std::string_view name = text.substr(0, name_end);
  const auto kind = kind_named(name);
  if (!kind) {
    return key_error(fmt::format(
        "got the unsupported kind '{}', expected ssh-ed25519, ssh-rsa, ecdsa-sha2-nistp256 or "
        "ecdsa-sha2-nistp384 as the first word of an OpenSSH public key",
        printable_line(name.substr(0, 60))));
  }
  if (name_end == std::string_view::npos)
    return key_error(fmt::format("got '{}' alone, expected the key's base64 after it", name));
  std::string_view rest = text.substr(name_end);
  rest.remove_prefix(std::min(rest.find_first_not_of(kBlank), rest.size()));
  const auto blob = base64_decode(rest.substr(0, rest.find_first_of(kBlank)));
  if (!blob.ok()) return key_error("got base64 that does not decode, expected the whole line");
  SshReader reader(*blob);
  if (reader.string() != name)
    return key_error(fmt::format("got {} in the line and another kind inside it", name));
  PkeyPtr key = read_numbers(*kind, reader);
  if (!key || !reader.ok() || !reader.rest().empty()) {
    return key_error(fmt::format("got a damaged {} key ({}), expected the whole line", name,
                                 detail::openssl_reason()));
  }
  return key;
}

Result<PkeyPtr> parse_pem(std::string_view text) {
  struct BioDeleter {
    void operator()(BIO* bio) const { BIO_free(bio); }
  };
  const std::unique_ptr<BIO, BioDeleter> bio(
      BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  PkeyPtr key(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
  if (key) return key;
  return key_error(
      fmt::format("got PEM text that OpenSSL cannot read ({}), expected a public key (PKCS#8 or "
                  "PKCS#1)",
                  detail::openssl_reason()));
}

/// Cuts a text into what may be keys: PEM blocks and lines, without blank lines and comments.
class TextCutter {
 public:
  explicit TextCutter(std::string_view text) : rest_(text) {}

  /// The next piece; empty at the end.
  std::string_view next() {
    for (piece_ = {}; piece_.empty() && !rest_.empty();) {
      line_ = next_line_;
      piece_ = trimmed(cut_line());
      if (piece_.starts_with('#')) piece_ = {};
    }
    if (piece_.starts_with("-----BEGIN ")) add_block();
    return piece_;
  }
  std::string_view piece() const { return piece_; }
  /// Where it begins; the first is 1.
  size_t line() const { return line_; }

 private:
  static std::string_view trimmed(std::string_view text) {
    constexpr std::string_view kBlank = " \t\r";
    text.remove_prefix(std::min(text.find_first_not_of(kBlank), text.size()));
    return text.substr(0, text.find_last_not_of(kBlank) + 1);
  }
  std::string_view cut_line() {
    const size_t end = std::min(rest_.find('\n'), rest_.size());
    const std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    ++next_line_;
    return line;
  }
  /// Adds the lines up to the block's END to its first one.
  void add_block() {
    const char* begin = piece_.data();
    while (!rest_.empty()) {
      const std::string_view line = cut_line();
      piece_ = {begin, static_cast<size_t>(line.data() + line.size() - begin)};
      if (line.starts_with("-----END ")) return;
    }
  }

  std::string_view rest_;
  std::string_view piece_;
  size_t line_ = 1;
  size_t next_line_ = 1;
};

}  // namespace

Result<std::vector<PublicKey>> PublicKey::parse_all(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF"))
    return key_error("got text in UTF-16, expected UTF-8: save the file in that");
  if (text.find("PRIVATE KEY-----") != std::string_view::npos)
    return key_error("got a private key, expected the public one (the file that ends in .pub)");
  std::vector<PublicKey> keys;
  for (TextCutter cutter(text); !cutter.next().empty();) {
    const std::string_view one = cutter.piece();
    auto key = one.size() > kTextBytesMax       ? key_error("got text that is too long to be a key")
               : one.starts_with("-----BEGIN ") ? parse_pem(one)
                                                : parse_line(one);
    Result<KeyKind> kind = key.ok() ? detail::kind_of(key->get(), "public key") : key.error();
    if (!kind.ok()) {
      Error error = std::move(kind).error();
      if (cutter.line() > 1) error.message += fmt::format(" (line {})", cutter.line());
      return error;
    }
    keys.push_back(PublicKey(std::move(*key), *kind));
  }
  if (keys.empty()) return key_error("got nothing, expected a key");
  return keys;
}

Result<PublicKey> PublicKey::parse(std::string_view text) {
  PIE_TRY_ASSIGN(std::vector<PublicKey> keys, parse_all(text));
  if (keys.size() == 1) return std::move(keys.front());
  return key_error(fmt::format("got {} keys in one text, expected one", keys.size()));
}

int PublicKey::bits() const { return EVP_PKEY_get_bits(key_.get()); }

bool PublicKey::verify(std::string_view message, std::string_view signature) const {
  const detail::DigestContextPtr context(EVP_MD_CTX_new());
  // An RSA key's default padding in OpenSSL is PKCS#1 v1.5.
  const bool is_right = context &&
                        EVP_DigestVerifyInit(context.get(), nullptr, detail::digest_of(kind_),
                                             nullptr, key_.get()) == 1 &&
                        EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(),
                                         bytes_of(message), message.size()) == 1;
  if (!is_right) detail::openssl_reason();  // nothing stays in the thread's queue
  return is_right;
}

std::string PublicKey::wire() const {
  detail::SshWriter out;
  out.string(ssh_name(kind_));
  if (kind_ == KeyKind::kRsa) {
    BIGNUM* e = nullptr;
    BIGNUM* n = nullptr;
    EVP_PKEY_get_bn_param(key_.get(), OSSL_PKEY_PARAM_RSA_E, &e);
    EVP_PKEY_get_bn_param(key_.get(), OSSL_PKEY_PARAM_RSA_N, &n);
    const detail::BignumPtr e_owner(e), n_owner(n);
    if (e && n) {
      out.number(e);
      out.number(n);
    }
    return out.bytes();
  }
  if (kind_ != KeyKind::kEd25519) out.string(curve_of(kind_));
  std::array<unsigned char, 256> point{};  // a P-384 point is 97 bytes
  size_t size = 0;
  if (kind_ == KeyKind::kEd25519) {
    size = point.size();
    EVP_PKEY_get_raw_public_key(key_.get(), point.data(), &size);
  } else {
    EVP_PKEY_get_octet_string_param(key_.get(), OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, point.data(),
                                    point.size(), &size);
  }
  out.string({reinterpret_cast<const char*>(point.data()), size});
  return out.bytes();
}

std::string PublicKey::openssh_line() const {
  return std::string(ssh_name(kind_)) + " " + base64_encode(wire());
}

std::string PublicKey::fingerprint() const {
  std::array<unsigned char, 32> hash{};
  const std::string bytes = wire();
  EVP_Digest(bytes.data(), bytes.size(), hash.data(), nullptr, EVP_sha256(), nullptr);
  std::string text = base64_encode({reinterpret_cast<const char*>(hash.data()), hash.size()});
  while (!text.empty() && text.back() == '=') text.pop_back();
  return "SHA256:" + text;
}

}  // namespace pie::crypto
