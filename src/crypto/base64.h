#pragma once
#include <string>
#include <string_view>

#include "base/result.h"

namespace pie::crypto {

/// RFC 4648, section 4, with padding and without line breaks.
std::string base64_encode(std::string_view bytes);

/// The bytes. White space is skipped; anything else that is not base64 is kInvalidArgument, and so
/// is missing padding.
Result<std::string> base64_decode(std::string_view text);

}  // namespace pie::crypto
