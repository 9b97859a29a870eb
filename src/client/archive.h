#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "client/upload.h"

namespace pie::client {

struct ArchiveFile {
  std::string name;  ///< its path in the archive, '/' between the parts; UTF-8
  std::string bytes;
};

/// A ZIP archive (APPNOTE.TXT 6.3) of these files: stored, dated 1980-01-01, sorted by their names,
/// so that equal files make equal archives. kInvalidArgument beyond 65,535 files or
/// kArchiveBytesMax (base/archive.h), and for a name that is not UTF-8.
Result<std::string> make_archive(std::vector<ArchiveFile> files);

/// What is uploaded for a program on this machine: of a folder, the archive of all regular files
/// below it, except names that begin with a dot and `__pycache__`; of a `.py` file the archive of
/// that one under its own name; any other file as it is. kNotFound, kInvalidArgument.
Result<UploadSource> program_source(const std::filesystem::path& path);

/// Whether the word names a program on this machine, where a program's name in the registry may
/// stand as well: a file; a folder that looks like a path (`./agent`, `agent/`, `/home/me/agent`)
/// or has a `__main__.py`; and what can only be meant as a file, there or not.
bool is_program_path(const std::string& word);

}  // namespace pie::client
