#include "server/program_library.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/guarded.h"
#include "base/user_name.h"
#include "crypto/blake3.h"
#include "store/manifest.h"

namespace pie::server {
namespace {

using store::NamedProgram;
using store::ProgramName;

constexpr size_t kDependencyDepthMax = 64;
/// What a small program takes in memory all the same.
constexpr uint64_t kReadyBytesMin = 256 << 10;

bool is_not_found(const Error& error) { return error.code == ErrorCode::kNotFound; }

}  // namespace

Result<void> ProgramLibrary::upload(const std::string& user, const std::string& hash,
                                    std::string_view wasm,
                                    const std::optional<std::string>& manifest) {
  if (manifest) PIE_TRY(store::parse_manifest(*manifest));
  const uint64_t bytes_max = user == kInternalUser ? 0 : limits_.user.program_bytes_max;
  PIE_TRY(reserve_.check("upload", wasm.size()));
  PIE_TRY(programs_.check_room(user, hash, wasm, manifest, bytes_max));
  PIE_TRY(compiled(hash, &wasm));
  auto done = programs_.put(user, hash, wasm, manifest, bytes_max);
  if (done.ok()) return done;
  // What is not stored must not be there for those who know the hash.
  if (const auto stored = programs_.has(hash); stored.ok() && !*stored) {
    const std::lock_guard lock(mutex_);
    let_go(hash);
  }
  return done;
}

Result<NamedProgram> ProgramLibrary::resolve(const std::string& user, const ProgramName& name,
                                             From from) {
  Error missing{ErrorCode::kNotFound, "Program not found"};
  // Whether the answer stands; of those that found nothing the one that says most is kept.
  const auto is_settled = [&](const Result<NamedProgram>& found) {
    if (found.ok() || !is_not_found(found.error())) return true;
    if (found.error().message.size() > missing.message.size()) missing = found.error();
    return false;
  };
  if (from == From::kRegistryFirst)
    if (auto found = registry_.find(name); is_settled(found)) return found;
  for (const std::string& owner : {user, std::string(kInternalUser)})
    if (auto found = programs_.find(owner, name); is_settled(found)) return found;
  if (auto found = registry_.find(name); is_settled(found)) return found;
  return missing;
}

Result<bool> ProgramLibrary::exists(const std::string& user, const std::string& record) {
  if (crypto::is_blake3_hex(record)) {
    PIE_TRY_ASSIGN(const bool stored, programs_.has(record));
    if (stored) return true;
    const auto shipped = registry_.find_hash(record);
    if (!shipped.ok() && !is_not_found(shipped.error())) return shipped.error();
    return shipped.ok();
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
  if (reference.kind == protocol::ProgramRef::Kind::kHash) {
    PIE_TRY_ASSIGN(const std::vector<NamedProgram> names, names_of(user, reference.text));
    PIE_TRY(check_any(user, names));
    return Named{reference.text, reference.text};
  }
  PIE_TRY_ASSIGN(const ProgramName name, ProgramName::parse(reference.text));
  PIE_TRY_ASSIGN(const NamedProgram found, resolve(user, name, from));
  PIE_TRY(check_any(user, {found}));
  return Named{found.hash, found.name.text()};
}

Result<std::vector<NamedProgram>> ProgramLibrary::names_of(const std::string& user,
                                                           const std::string& hash) {
  for (const std::string& owner : {user, std::string(kInternalUser)}) {
    PIE_TRY_ASSIGN(std::vector<NamedProgram> names, programs_.names_of(owner, hash));
    if (!names.empty()) return names;
  }
  PIE_TRY_ASSIGN(const bool stored, programs_.has(hash));
  if (stored) return std::vector<NamedProgram>();
  auto shipped = registry_.find_hash(hash);
  if (!shipped.ok() && !is_not_found(shipped.error())) return std::move(shipped).error();
  if (!shipped.ok()) return std::vector<NamedProgram>();
  return std::vector<NamedProgram>{std::move(*shipped)};
}

Result<void> ProgramLibrary::check_any(const std::string& user,
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

std::optional<Result<LaunchableProgram>> ProgramLibrary::open_compiled(
    const std::string& user, const protocol::ProgramRef& reference, From from) {
  auto named = name_and_hash(user, reference, from);
  if (!named.ok()) return std::move(named).error();
  const std::lock_guard lock(mutex_);
  auto program = find_ready(named->hash);
  if (!program) return std::nullopt;
  return LaunchableProgram{std::move(program), std::move(named->display_name)};
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

Result<std::string> ProgramLibrary::wasm_of(const std::string& hash) {
  auto stored = programs_.wasm(hash);
  if (stored.ok() || !is_not_found(stored.error())) return stored;
  return registry_.wasm(hash);
}

std::shared_ptr<const host::Program> ProgramLibrary::find_ready(const std::string& hash) {
  const auto found = ready_.find(hash);
  if (found == ready_.end()) return nullptr;
  found->second.used = ++uses_;
  return found->second.program;
}

void ProgramLibrary::keep_ready(const std::string& hash,
                                std::shared_ptr<const host::Program> program, uint64_t wasm_bytes) {
  const Ready fresh{std::move(program), std::max(wasm_bytes, kReadyBytesMin), ++uses_};
  let_go(hash);
  ready_bytes_ += fresh.charged_bytes;
  ready_[hash] = fresh;
  while (ready_.size() > 1 && ready_bytes_ > limits_.compiled_memory_bytes_max) {
    const auto oldest = std::min_element(ready_.begin(), ready_.end(), [](auto& a, auto& b) {
      return a.second.used < b.second.used;
    });
    let_go(std::string(oldest->first));
  }
}

void ProgramLibrary::let_go(const std::string& hash) {
  const auto found = ready_.find(hash);
  if (found == ready_.end()) return;
  ready_bytes_ -= found->second.charged_bytes;
  ready_.erase(found);
}

ProgramLibrary::Compiled ProgramLibrary::compiled(const std::string& hash,
                                                  const std::string_view* wasm) {
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return compiling_.count(hash) == 0; });
    if (auto program = find_ready(hash)) return program;
    compiling_.insert(hash);
  }
  uint64_t wasm_bytes = 0;
  Compiled result = guarded("compile", [&]() -> Compiled {
    std::string read;
    std::string_view bytes;
    if (wasm) {
      bytes = *wasm;
    } else {
      PIE_TRY_ASSIGN(read, wasm_of(hash));
      bytes = read;
    }
    wasm_bytes = bytes.size();
    return host_.compile({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, hash);
  });
  {
    const std::lock_guard lock(mutex_);
    compiling_.erase(hash);
    if (result.ok()) keep_ready(hash, *result, wasm_bytes);
  }
  changed_.notify_all();
  return result;
}

}  // namespace pie::server
