#pragma once

namespace pie::server {

/// What `pie --version` and `runtime.get-version` say.
inline constexpr const char* kVersion = "0.1.0";

}  // namespace pie::server
