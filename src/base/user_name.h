#pragma once
#include <string_view>

namespace pie {

/// The user that local tools are, by the server's own token; nobody can claim the name.
inline constexpr std::string_view kInternalUser = "internal";

/// Whether `name` can be a client's: 1 to 256 bytes without control characters, not `internal`.
bool is_user_name(std::string_view name);

}  // namespace pie
