#pragma once
#include <filesystem>

#include "base/result.h"

namespace pie::server {

/// Makes the folder for this account alone (0700), and from now on whatever this process makes: its
/// umask is 077. One that others could read or enter is closed to them with what is in it, and the
/// log says so. kPermissionDenied when it cannot be made.
Result<void> make_private_folder(const std::filesystem::path& folder);

}  // namespace pie::server
