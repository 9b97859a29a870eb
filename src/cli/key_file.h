#pragma once
#include <string>

#include "base/result.h"
#include "client/client.h"

namespace pie::cli {

/// The private key in a file; "~" is the home folder. An encrypted key's passphrase is asked for on
/// the terminal, or taken from PIE_KEY_PASSPHRASE.
Result<client::KeyRef> load_key(const std::string& path);

}  // namespace pie::cli
