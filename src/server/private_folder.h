#pragma once
#include <filesystem>

#include "base/result.h"

namespace pie::server {

/// Makes the folder for this account alone (0700), and from now on whatever this process makes: its
/// umask is 077. One that others could read or enter is closed to them with what a server keeps in
/// it, and the log says so; where anything else lies in it (a home folder, /tmp), that and the
/// folder's own mode stay. kPermissionDenied when it cannot be made.
Result<void> make_private_folder(const std::filesystem::path& folder);

}  // namespace pie::server
