#pragma once
#include <string>
#include <string_view>

namespace pie::grammar {

/// What the library says of an error, in one piece of at most some hundred bytes: without the state
/// and the traces that it appends, always UTF-8.
std::string library_text(std::string_view said);

}  // namespace pie::grammar
