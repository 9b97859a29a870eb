#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/blob.h"
#include "base/result.h"

namespace pie::store {

/// A component to be kept under its hash and, with a manifest, under the manifest's name for its
/// owner. The caller has checked component and hash.
struct ProgramUpload {
  std::string owner;
  std::string hash;  ///< BLAKE3, 64 hexadecimal digits
  BlobRef wasm;
  std::optional<std::string> manifest;  ///< TOML text
  uint64_t owner_bytes_max = 0;         ///< 0 = unlimited
};

/// Where a name is looked for first: with the user's own programs, or in the registry.
enum class LookFirst { kUser, kRegistry };

/// What a client launches: a name, with or without a version, or a hash.
struct ProgramReference {
  enum class Kind { kName, kHash };
  Kind kind = Kind::kName;
  std::string text;
  LookFirst first = LookFirst::kUser;
};

/// The program that a reference stands for.
struct FoundProgram {
  std::string hash;
  std::string display_name;  ///< "ns/name@version", or the hash
};

/// Programs by name and by hash: those that users have uploaded, those that `internal` has
/// published, and the registry's (protocol.md, section 6). Thread-safe; nothing here blocks: the
/// store has threads of its own, and `done` comes from one of them, once. Work is refused
/// (kResourceExhausted) when a user has too much that waits.
class Programs {
 public:
  template <class T>
  using Done = std::function<void(Result<T>)>;

  virtual ~Programs() = default;
  /// Keeps a program. On the disk when `done` comes. kResourceExhausted when the disk's reserve
  /// would be used, or the owner's programs and manifests would be more than `owner_bytes_max`
  /// together (each counts as whole blocks of 4 KiB, whoever else has uploaded it too).
  virtual void put(ProgramUpload upload, Done<void> done) = 0;
  /// Whether put() of the same would be refused.
  virtual void check_room(ProgramUpload upload, Done<void> done) = 0;
  /// kNotFound "Program not found"; kFailedPrecondition names a missing or cyclic dependency.
  virtual void find(const std::string& user, ProgramReference reference,
                    Done<FoundProgram> done) = 0;
  /// The answer to `query program_exists`.
  virtual void exists(const std::string& user, std::string record, Done<bool> done) = 0;
  /// The component's bytes, of whoever it is, to be read on a thread that may wait for a disk; who
  /// reads them compares them with the hash. kNotFound.
  virtual void wasm(const std::string& user, std::string hash, Done<BlobRef> done) = 0;
};

}  // namespace pie::store
