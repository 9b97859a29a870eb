#pragma once
#include <string>
#include <string_view>

#include "base/result.h"

namespace pie {

/// The same TOML document in ASCII: characters beyond it become escapes in quoted text (literal
/// strings become basic ones) and question marks in comments; lines stay where they are, and a byte
/// order mark in front is dropped. Our parser
/// leaves undefined what happens when it meets such characters out of place, so it gets none.
/// kInvalidArgument says what and on which line: text that is not UTF-8, control characters,
/// characters beyond ASCII without quotes, table headers without a name, brackets that do not match
/// (all against TOML 1.0).
Result<std::string> ascii_toml(std::string_view text);

/// The text as a TOML basic string, quotes included; control characters as escapes.
std::string toml_string(std::string_view text);

}  // namespace pie
