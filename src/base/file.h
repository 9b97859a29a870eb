#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace pie {

/// The whole file. kNotFound, or kInternal with the system's reason.
Result<std::string> read_file(const std::filesystem::path& path);

/// Replaces the file by one rename after its bytes (and the folder entry) are on the disk: a reader
/// or a crash sees the old content or the new, never a part. `mode` as for open(2).
Result<void> write_file_atomically(const std::filesystem::path& path, std::string_view bytes,
                                   unsigned mode = 0644);

/// Returns when the folder's entries (names of files and folders) are on the disk.
Result<void> sync_folder(const std::filesystem::path& folder);

}  // namespace pie
