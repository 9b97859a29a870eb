#include "store/program_resolver.h"

#include <algorithm>
#include <utility>

#include "base/user_name.h"
#include "crypto/blake3.h"
#include "store/manifest.h"

namespace pie::store {
namespace {

constexpr size_t kDependencyDepthMax = 64;

bool is_not_found(const Error& error) { return error.code == ErrorCode::kNotFound; }

}  // namespace

Result<NamedProgram> ProgramResolver::resolve(const std::string& user, const ProgramName& name,
                                              LookFirst first) {
  Error missing{ErrorCode::kNotFound, "Program not found"};
  // Whether the answer stands; of those that found nothing the one that says most is kept.
  const auto is_settled = [&](const Result<NamedProgram>& found) {
    if (found.ok() || !is_not_found(found.error())) return true;
    if (found.error().message.size() > missing.message.size()) missing = found.error();
    return false;
  };
  if (first == LookFirst::kRegistry)
    if (auto found = registry_.find(name); is_settled(found)) return found;
  for (const std::string& owner : {user, std::string(kInternalUser)})
    if (auto found = uploaded_.find(owner, name); is_settled(found)) return found;
  if (auto found = registry_.find(name); is_settled(found)) return found;
  return missing;
}

Result<bool> ProgramResolver::exists(const std::string& user, const std::string& record) {
  if (crypto::is_blake3_hex(record)) {
    PIE_TRY_ASSIGN(const bool stored, uploaded_.has(record));
    if (stored) return true;
    const auto shipped = registry_.find_hash(record);
    if (!shipped.ok() && !is_not_found(shipped.error())) return shipped.error();
    return shipped.ok();
  }
  const size_t sharp = record.find('#');
  auto name = ProgramName::parse(std::string_view(record).substr(0, sharp));
  if (!name.ok()) return false;
  auto found = resolve(user, *name, LookFirst::kUser);
  if (!found.ok() && is_not_found(found.error())) return false;
  if (!found.ok()) return std::move(found).error();
  if (sharp == std::string::npos) return true;
  const std::string hashes = record.substr(sharp + 1);
  const size_t plus = hashes.find('+');
  if (hashes.substr(0, plus) != found->hash) return false;
  return plus == std::string::npos ||
         hashes.substr(plus + 1) == crypto::blake3_hex(found->manifest);
}

Result<FoundProgram> ProgramResolver::find(const std::string& user,
                                           const ProgramReference& reference) {
  if (reference.kind == ProgramReference::Kind::kHash) {
    PIE_TRY_ASSIGN(const std::vector<NamedProgram> names, names_of(user, reference.text));
    PIE_TRY(check_any(user, names));
    return FoundProgram{reference.text, reference.text};
  }
  PIE_TRY_ASSIGN(const ProgramName name, ProgramName::parse(reference.text));
  PIE_TRY_ASSIGN(const NamedProgram found, resolve(user, name, reference.first));
  PIE_TRY(check_any(user, {found}));
  return FoundProgram{found.hash, found.name.text()};
}

Result<std::vector<NamedProgram>> ProgramResolver::names_of(const std::string& user,
                                                            const std::string& hash) {
  for (const std::string& owner : {user, std::string(kInternalUser)}) {
    PIE_TRY_ASSIGN(std::vector<NamedProgram> names, uploaded_.names_of(owner, hash));
    if (!names.empty()) return names;
  }
  PIE_TRY_ASSIGN(const bool stored, uploaded_.has(hash));
  if (stored) return std::vector<NamedProgram>();
  auto shipped = registry_.find_hash(hash);
  if (!shipped.ok() && !is_not_found(shipped.error())) return std::move(shipped).error();
  if (!shipped.ok()) return std::vector<NamedProgram>();
  return std::vector<NamedProgram>{std::move(*shipped)};
}

Result<void> ProgramResolver::check_any(const std::string& user,
                                        const std::vector<NamedProgram>& names) {
  Result<void> checked;
  for (const NamedProgram& one : names) {
    std::vector<std::string> path;
    std::set<std::string> sound;
    checked = check_dependencies(user, one, path, sound);
    if (checked.ok()) break;
  }
  return checked;
}

Result<void> ProgramResolver::check_dependencies(const std::string& user,
                                                 const NamedProgram& program,
                                                 std::vector<std::string>& path,
                                                 std::set<std::string>& sound) {
  const std::string self = program.name.text();
  if (sound.count(self) != 0) return {};
  const bool again = std::find(path.begin(), path.end(), self) != path.end();
  path.push_back(self);
  if (again || path.size() > kDependencyDepthMax) {
    std::string chain;
    for (const auto& one : path) chain.append(chain.empty() ? "" : " -> ").append(one);
    return Error{ErrorCode::kFailedPrecondition,
                 "[dependencies] got a cycle, expected none: " + chain};
  }
  if (!program.manifest.empty()) {
    PIE_TRY_ASSIGN(const Manifest manifest, parse_manifest(program.manifest));
    for (const auto& dependency : manifest.dependencies) {
      auto found = resolve(user, dependency, LookFirst::kUser);
      if (!found.ok() && !is_not_found(found.error())) return std::move(found).error();
      if (!found.ok())
        return Error{ErrorCode::kFailedPrecondition, "[dependencies] got no program " +
                                                         dependency.text() + ", which " + self +
                                                         " needs; upload it first"};
      PIE_TRY(check_dependencies(user, *found, path, sound));
    }
  }
  path.pop_back();
  sound.insert(self);
  return {};
}

Result<BlobRef> ProgramResolver::wasm(const std::string& hash) {
  auto stored = uploaded_.wasm(hash);
  if (stored.ok() || !is_not_found(stored.error())) return stored;
  return registry_.wasm(hash);
}

}  // namespace pie::store
