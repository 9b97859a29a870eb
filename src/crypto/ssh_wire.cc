#include "crypto/ssh_wire.h"

#include <fmt/format.h>
#include <openssl/core_names.h>
#include <openssl/err.h>

#include <array>

namespace pie::crypto::detail {
namespace {

constexpr int kRsaBitsMin = 2048;

Error refused(std::string_view what, std::string_view why) {
  return Error{ErrorCode::kInvalidArgument, fmt::format("[{}] {}", what, why)};
}

}  // namespace

std::string_view SshReader::take(size_t n) {
  if (n > rest_.size()) {
    ok_ = false;
    rest_ = {};
    return {};
  }
  const std::string_view taken = rest_.substr(0, n);
  rest_.remove_prefix(n);
  return taken;
}

uint32_t SshReader::u32() {
  uint32_t value = 0;
  for (const char byte : take(4)) value = value << 8 | static_cast<uint8_t>(byte);
  return value;
}

BignumPtr SshReader::number() {
  const std::string_view bytes = string();
  return BignumPtr(BN_bin2bn(bytes_of(bytes), static_cast<int>(bytes.size()), nullptr));
}

void SshWriter::string(std::string_view bytes) {
  const auto size = static_cast<uint32_t>(bytes.size());
  for (int shift = 24; shift >= 0; shift -= 8) bytes_ += static_cast<char>(size >> shift);
  bytes_ += bytes;
}

void SshWriter::number(const BIGNUM* value) {
  std::string bytes(static_cast<size_t>(BN_num_bytes(value)), '\0');
  BN_bn2bin(value, reinterpret_cast<unsigned char*>(bytes.data()));
  // A leading bit would read as a sign.
  if (!bytes.empty() && (static_cast<unsigned char>(bytes[0]) & 0x80) != 0)
    bytes.insert(bytes.begin(), '\0');
  string(bytes);
}

std::string openssl_reason() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? "no reason given" : reason;
}

PkeyPtr key_from_params(const char* kind, OSSL_PARAM_BLD* builder, int selection) {
  const ParamsPtr params(OSSL_PARAM_BLD_to_param(builder));
  const PkeyContextPtr context(EVP_PKEY_CTX_new_from_name(nullptr, kind, nullptr));
  EVP_PKEY* key = nullptr;
  if (!params || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, selection, params.get()) != 1)
    return nullptr;
  return PkeyPtr(key);
}

Result<KeyKind> kind_of(const EVP_PKEY* key, std::string_view what) {
  if (EVP_PKEY_is_a(key, "ED25519")) return KeyKind::kEd25519;
  if (EVP_PKEY_is_a(key, "RSA")) {
    const int bits = EVP_PKEY_get_bits(key);
    if (bits >= kRsaBitsMin) return KeyKind::kRsa;
    return refused(
        what, fmt::format("got a weak RSA key of {} bits, expected {} or more", bits, kRsaBitsMin));
  }
  std::string kind;
  if (EVP_PKEY_is_a(key, "EC")) {
    std::array<char, 80> group{};
    EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group.data(), group.size(),
                                   nullptr);
    const std::string_view name(group.data());
    if (name == "prime256v1" || name == "P-256") return KeyKind::kEcdsaP256;
    if (name == "secp384r1" || name == "P-384") return KeyKind::kEcdsaP384;
    kind = fmt::format("ECDSA on {}", name);
  } else {
    const char* name = EVP_PKEY_get0_type_name(key);
    kind = name == nullptr ? "unknown" : name;
  }
  return refused(
      what,
      fmt::format("got a key of the unsupported kind '{}', expected Ed25519, RSA or ECDSA on P-256 "
                  "or P-384",
                  kind));
}

const EVP_MD* digest_of(KeyKind kind) {
  if (kind == KeyKind::kRsa || kind == KeyKind::kEcdsaP256) return EVP_sha256();
  if (kind == KeyKind::kEcdsaP384) return EVP_sha384();
  return nullptr;
}

}  // namespace pie::crypto::detail
