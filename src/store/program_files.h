#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "store/database.h"
#include "store/names.h"
#include "store/programs.h"

namespace pie::store {

/// A program that a name stands for.
struct NamedProgram {
  ProgramName name;  ///< with its version
  std::string hash;
  std::string manifest;  ///< TOML text
};

/// Uploaded programs: `FOLDER/<hash>.wasm`, and the tables `programs`, `names` and `uploads`.
/// Thread-safe. Every call waits for the disk.
class ProgramFiles {
 public:
  /// Files that a crash left, written and not recorded, are removed.
  ProgramFiles(Database& database, std::filesystem::path folder);

  /// Programs::put and check_room, but for the disk's reserve.
  Result<void> put(const ProgramUpload& upload);
  Result<void> check_room(const ProgramUpload& upload);
  Result<bool> has(const std::string& hash);
  /// The component's bytes. kNotFound "Program not found".
  Result<BlobRef> wasm(const std::string& hash);
  /// What the owner called so; the newest release when the name says no version. kNotFound.
  Result<NamedProgram> find(const std::string& owner, const ProgramName& name);
  /// Every name and version that the owner has given this program, in no particular order.
  Result<std::vector<NamedProgram>> names_of(const std::string& owner, const std::string& hash);

 private:
  void remove_orphans();
  std::filesystem::path file_of(const std::string& hash) const {
    return folder_ / (hash + ".wasm");
  }

  Database& database_;
  const std::filesystem::path folder_;
};

}  // namespace pie::store
