#pragma once
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/names.h"
#include "store/program_files.h"

namespace pie::store {

/// Folders of programs that everybody may launch: ROOT/ns/name/version.{wasm,toml}, with .zip
/// for what is no component. Earlier roots win. Read-only; files that appear later are seen.
/// Thread-safe.
class Registry {
 public:
  explicit Registry(std::vector<std::filesystem::path> roots) : roots_(std::move(roots)) {}

  /// The program, with the hash of its bytes; the newest release when the name says no version.
  /// kNotFound "Program not found"; a registry that cannot be read says why.
  Result<NamedProgram> find(const ProgramName& name);
  /// The bytes of the program with this hash. kNotFound. The first question reads every file.
  Result<BlobRef> wasm(const std::string& hash);
  /// The name and manifest of the program with this hash. kNotFound; as slow as wasm().
  Result<NamedProgram> find_hash(const std::string& hash);

 private:
  struct Hashed {
    std::filesystem::file_time_type written;
    uint64_t bytes = 0;
    std::string hash;
  };
  /// kNotFound.
  Result<std::filesystem::path> locate(const ProgramName& name) const;
  /// The file with this hash among those that were hashed.
  std::optional<std::filesystem::path> hashed_file(const std::string& hash);
  /// The same, among all. kNotFound.
  Result<std::filesystem::path> file_with(const std::string& hash);
  /// "" when there is none.
  static Result<std::string> manifest_beside(std::filesystem::path wasm);
  Result<void> hash_all();
  Result<std::string> hash_of(const std::filesystem::path& wasm);

  const std::vector<std::filesystem::path> roots_;
  std::mutex mutex_;
  std::map<std::filesystem::path, Hashed> hashes_;
};

}  // namespace pie::store
