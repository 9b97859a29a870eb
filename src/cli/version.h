#pragma once
#include <string>

namespace pie::cli {

/// "pie 0.1.0".
std::string version_text();

}  // namespace pie::cli
