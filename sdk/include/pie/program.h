#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "pie/result.h"

namespace inferlet::program {

/// The file that was uploaded for this program, when that is not a component itself (an archive
/// that a runtime runs); else empty.
std::string source();

/// What an earlier instance of the same program has kept under this key, for the same user. It may
/// be gone at any time.
std::optional<std::string> load(std::string_view key);
/// Keeps it in place of what had that key; empty: removes it. The error says that it is too long
/// (1,024 bytes a key, 16 MiB a value), or that there is no room.
Result<void> store(std::string_view key, std::string_view value);

}  // namespace inferlet::program
