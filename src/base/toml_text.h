#pragma once
#include <string_view>

#include "base/result.h"

namespace pie {

/// Refuses TOML text that our parser must not see, because it leaves what happens then undefined:
/// control characters, characters beyond ASCII outside of quotes and comments, table headers
/// without a name, brackets that do not match (all against TOML 1.0), and text that is not UTF-8.
/// kInvalidArgument says what and on which line.
Result<void> check_toml_text(std::string_view text);

}  // namespace pie
