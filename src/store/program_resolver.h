#pragma once
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/program_files.h"
#include "store/programs.h"
#include "store/registry.h"

namespace pie::store {

/// Which program a name or a hash stands for, over what was uploaded and the registry (protocol.md,
/// section 6). Thread-safe. Every call waits for the disk.
class ProgramResolver {
 public:
  ProgramResolver(ProgramFiles& uploaded, Registry& registry)
      : uploaded_(uploaded), registry_(registry) {}

  /// Programs::find, exists and wasm.
  Result<FoundProgram> find(const std::string& user, const ProgramReference& reference);
  Result<bool> exists(const std::string& user, const std::string& record);
  Result<BlobRef> wasm(const std::string& hash);

 private:
  Result<NamedProgram> resolve(const std::string& user, const ProgramName& name, LookFirst first);
  /// The names whose manifests hold when this user launches the hash: the user's own, else those
  /// that `internal` published, else the registry's. Somebody else's manifest binds nobody.
  Result<std::vector<NamedProgram>> names_of(const std::string& user, const std::string& hash);
  /// Whether the dependencies of at least one of the names are there, or there is no name.
  Result<void> check_any(const std::string& user, const std::vector<NamedProgram>& names);
  Result<void> check_dependencies(const std::string& user, const NamedProgram& program,
                                  std::vector<std::string>& path, std::set<std::string>& sound);

  ProgramFiles& uploaded_;
  Registry& registry_;
};

}  // namespace pie::store
