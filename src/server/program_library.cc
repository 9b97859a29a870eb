#include "server/program_library.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/user_name.h"
#include "crypto/blake3.h"
#include "store/manifest.h"

namespace pie::server {
namespace {

using store::NamedProgram;
using store::ProgramName;

constexpr size_t kDependencyDepthMax = 64;

Error not_found() { return {ErrorCode::kNotFound, "Program not found"}; }

bool is_not_found(const Error& error) { return error.code == ErrorCode::kNotFound; }

}  // namespace

Result<void> ProgramLibrary::upload(const std::string& user, const std::string& hash,
                                    std::string_view wasm,
                                    const std::optional<std::string>& manifest) {
  if (manifest) PIE_TRY(store::parse_manifest(*manifest));
  PIE_TRY(compiled(hash, &wasm));
  return programs_.put(user, hash, wasm, manifest);
}

Result<NamedProgram> ProgramLibrary::resolve(const std::string& user, const ProgramName& name,
                                             From from) {
  if (from == From::kRegistryFirst) {
    auto found = registry_.find(name);
    if (found.ok() || !is_not_found(found.error())) return found;
  }
  for (const std::string& owner : {user, std::string(kInternalUser)}) {
    auto found = programs_.find(owner, name);
    if (found.ok() || !is_not_found(found.error())) return found;
  }
  return registry_.find(name);
}

Result<bool> ProgramLibrary::exists(const std::string& user, const std::string& record) {
  if (crypto::is_blake3_hex(record)) {
    PIE_TRY_ASSIGN(const bool stored, programs_.has(record));
    return stored || registry_.wasm(record).ok();
  }
  const size_t sharp = record.find('#');
  auto name = ProgramName::parse(std::string_view(record).substr(0, sharp));
  if (!name.ok()) return false;
  auto found = resolve(user, *name, From::kAnywhere);
  if (!found.ok() && is_not_found(found.error())) return false;
  if (!found.ok()) return std::move(found).error();
  if (sharp == std::string::npos) return true;
  const std::string hashes = record.substr(sharp + 1);
  const size_t plus = hashes.find('+');
  if (hashes.substr(0, plus) != found->hash) return false;
  return plus == std::string::npos ||
         hashes.substr(plus + 1) == crypto::blake3_hex(found->manifest);
}

Result<ProgramLibrary::Named> ProgramLibrary::name_and_hash(const std::string& user,
                                                            const protocol::ProgramRef& reference,
                                                            From from) {
  if (reference.kind == protocol::ProgramRef::Kind::kHash)
    return Named{reference.text, reference.text};
  PIE_TRY_ASSIGN(const ProgramName name, ProgramName::parse(reference.text));
  PIE_TRY_ASSIGN(const NamedProgram found, resolve(user, name, from));
  std::vector<std::string> path;
  std::set<std::string> sound;
  PIE_TRY(check_dependencies(user, found, path, sound));
  return Named{found.hash, found.name.text()};
}

std::optional<Result<LaunchableProgram>> ProgramLibrary::open_compiled(
    const std::string& user, const protocol::ProgramRef& reference, From from) {
  auto named = name_and_hash(user, reference, from);
  if (!named.ok()) return std::move(named).error();
  const std::lock_guard lock(mutex_);
  const auto found = compiled_.find(named->hash);
  if (found == compiled_.end()) return std::nullopt;
  return LaunchableProgram{found->second, std::move(named->display_name)};
}

Result<LaunchableProgram> ProgramLibrary::open(const std::string& user,
                                               const protocol::ProgramRef& reference, From from) {
  PIE_TRY_ASSIGN(Named named, name_and_hash(user, reference, from));
  PIE_TRY_ASSIGN(auto program, compiled(named.hash, nullptr));
  return LaunchableProgram{std::move(program), std::move(named.display_name)};
}

Result<void> ProgramLibrary::check_dependencies(const std::string& user,
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
    PIE_TRY_ASSIGN(const store::Manifest manifest, store::parse_manifest(program.manifest));
    for (const auto& dependency : manifest.dependencies) {
      auto found = resolve(user, dependency, From::kAnywhere);
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

Result<std::string> ProgramLibrary::wasm_of(const std::string& hash) {
  auto stored = programs_.wasm(hash);
  if (stored.ok() || !is_not_found(stored.error())) return stored;
  auto shipped = registry_.wasm(hash);
  if (shipped.ok()) return shipped;
  return not_found();
}

ProgramLibrary::Compiled ProgramLibrary::compiled(const std::string& hash,
                                                  const std::string_view* wasm) {
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return compiling_.count(hash) == 0; });
    if (const auto found = compiled_.find(hash); found != compiled_.end()) return found->second;
    compiling_.insert(hash);
  }
  Compiled result = [&]() -> Compiled {
    std::string read;
    std::string_view bytes;
    if (wasm) {
      bytes = *wasm;
    } else {
      PIE_TRY_ASSIGN(read, wasm_of(hash));
      bytes = read;
    }
    return host_.compile({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, hash);
  }();
  {
    const std::lock_guard lock(mutex_);
    compiling_.erase(hash);
    if (result.ok()) compiled_[hash] = *result;
  }
  changed_.notify_all();
  return result;
}

}  // namespace pie::server
