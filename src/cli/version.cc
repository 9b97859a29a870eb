#include "cli/version.h"

#include "server/version.h"

namespace pie::cli {

std::string version_text() { return std::string("pie ") + server::kVersion; }

}  // namespace pie::cli
