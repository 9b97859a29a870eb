#pragma once
#include <optional>
#include <string_view>

#include "base/result.h"
#include "crypto/private_key.h"

namespace pie::crypto::detail {

/// A private key in OpenSSH's own format (openssh-portable, PROTOCOL.key), the whole PEM text.
/// Which kinds and sizes are served is the caller's to check.
Result<PkeyPtr> parse_openssh_key(std::string_view text,
                                  std::optional<std::string_view> passphrase);

/// kInvalidArgument "[private key] ...".
Error key_error(std::string_view what);

}  // namespace pie::crypto::detail
