#pragma once
#include <string>
#include <string_view>

namespace pie::cli {

/// The text as a JSON string, quotes included.
std::string json_text(std::string_view text);

}  // namespace pie::cli
