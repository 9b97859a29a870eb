#pragma once
#include <string>
#include <string_view>

namespace pie::instance {

/// A random version 4 UUID (RFC 9562, section 5.4): what clients know an instance by.
std::string make_instance_id();
bool is_instance_id(std::string_view text);

}  // namespace pie::instance
