#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace pie {

/// What `number` (errno, unless told) says, as "[what path] got: reason": kNotFound when there is
/// no such file, kResourceExhausted when descriptors, memory, disk space or the file's permitted
/// size are used up, kPermissionDenied, else kInternal.
Error system_error(const std::string& what, const std::filesystem::path& path);
Error system_error(const std::string& what, const std::filesystem::path& path, int number);

/// The whole file. Errors as system_error().
Result<std::string> read_file(const std::filesystem::path& path);

/// Writes all bytes at the descriptor's place; false with errno set.
bool write_all(int fd, std::string_view bytes);

/// Replaces the file by one rename after its bytes (and the folder entry) are on the disk: a reader
/// or a crash sees the old content or the new, never a part. `mode` as for open(2).
Result<void> write_file_atomically(const std::filesystem::path& path, std::string_view bytes,
                                   unsigned mode = 0644);
/// The same with what `write` writes to the descriptor that it gets.
Result<void> write_file_atomically(const std::filesystem::path& path,
                                   const std::function<Result<void>(int fd)>& write,
                                   unsigned mode = 0644);

/// Returns when the folder's entries (names of files and folders) are on the disk.
Result<void> sync_folder(const std::filesystem::path& folder);

}  // namespace pie
