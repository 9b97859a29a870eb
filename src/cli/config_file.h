#pragma once
#include <filesystem>
#include <string_view>

#include "base/result.h"

namespace pie::cli {

/// PIE_HOME/config.toml, whose folder is made if need be.
std::filesystem::path config_file_of_home();

/// Changes or adds one setting in that file; its comments and other lines stay. kInvalidArgument
/// for an unknown key, a value that is none, or a file that has to be edited by hand; nothing is
/// changed then.
Result<void> change_config_file(std::string_view key, std::string_view value);

}  // namespace pie::cli
