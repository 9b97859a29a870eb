#pragma once
#include <filesystem>

#include "base/result.h"
#include "server/config.h"

namespace pie::server {

/// The component that runs archives: as configured, else the installation's.
std::filesystem::path python_runtime_file(const Config& config);
/// Compiled components of the installation: servers load them from here and never write.
std::filesystem::path compiled_folder(const std::filesystem::path& share);
/// Compiles that component into a folder, so that no server has to, unless it is there; the file.
/// It is of use to this version of pie on CPUs with the features of this one: others compile the
/// component themselves. In a folder with more than 1 GiB the files that were used longest ago go.
Result<std::filesystem::path> compile_python_runtime(const Config& config,
                                                     const std::filesystem::path& folder);

}  // namespace pie::server
