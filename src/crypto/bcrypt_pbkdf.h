#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace pie::crypto {

/// OpenBSD's bcrypt_pbkdf(3), the key derivation of encrypted OpenSSH keys: `size_bytes` of key
/// from a passphrase and a salt. `rounds` of 1 or more; each costs about 5 ms.
std::string bcrypt_pbkdf(std::string_view passphrase, std::string_view salt, size_t size_bytes,
                         uint32_t rounds);

}  // namespace pie::crypto
