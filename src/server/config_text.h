#pragma once
#include <string>
#include <string_view>

#include "base/result.h"

namespace pie::server {

/// The text of a config.toml with every setting as a comment, with its default and what it means.
std::string initial_config_text();
/// `text` with one setting changed or added; comments and other lines stay. The value is checked.
Result<std::string> change_config_text(std::string text, std::string_view key,
                                       std::string_view value);

}  // namespace pie::server
