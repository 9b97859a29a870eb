#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/instance_log_file.h"
#include "store/names.h"

/// What outlives the server: programs, the programs' key-value pairs, instances and what they said.
/// Abstract, so that a store over the network can take the file store's place. All thread-safe.
namespace pie::store {

/// A program that a name stands for.
struct NamedProgram {
  ProgramName name;  ///< with its version
  std::string hash;
  std::string manifest;  ///< TOML text
};

class Programs {
 public:
  virtual ~Programs() = default;
  /// Keeps a program under its hash (the caller has checked both) and, with a manifest, under the
  /// manifest's name for this owner. On the disk when it returns. kResourceExhausted when the
  /// owner's programs and manifests would be more than `owner_bytes_max` together (each counts as
  /// whole blocks of 4 KiB, whoever else has uploaded it too); 0 = unlimited.
  virtual Result<void> put(const std::string& owner, const std::string& hash, std::string_view wasm,
                           const std::optional<std::string>& manifest,
                           uint64_t owner_bytes_max) = 0;
  /// Whether put() of the same would be refused for want of room.
  virtual Result<void> check_room(const std::string& owner, const std::string& hash,
                                  std::string_view wasm, const std::optional<std::string>& manifest,
                                  uint64_t owner_bytes_max) = 0;
  virtual Result<bool> has(const std::string& hash) = 0;
  /// The component's bytes. kNotFound "Program not found".
  virtual Result<std::string> wasm(const std::string& hash) = 0;
  /// What the owner called so; the newest release when the name says no version. kNotFound.
  virtual Result<NamedProgram> find(const std::string& owner, const ProgramName& name) = 0;
  /// Every name and version that the owner has given this program, in no particular order.
  virtual Result<std::vector<NamedProgram>> names_of(const std::string& owner,
                                                     const std::string& hash) = 0;
};

/// Each call may wait for the disk: not for a thread that others wait for.
class Kvs {
 public:
  virtual ~Kvs() = default;
  virtual Result<std::optional<std::string>> get(const std::string& owner,
                                                 const std::string& key) = 0;
  /// kResourceExhausted when the owner's keys and values (and 64 bytes for each pair) would be more
  /// than `owner_bytes_max` together; 0 = unlimited.
  virtual Result<void> set(const std::string& owner, const std::string& key,
                           const std::string& value, uint64_t owner_bytes_max) = 0;
  virtual Result<void> remove(const std::string& owner, const std::string& key) = 0;
  virtual Result<bool> exists(const std::string& owner, const std::string& key) = 0;
  /// Up to `count_max` keys behind `after`, in order; from the first when that is none.
  virtual Result<std::vector<std::string>> list_keys(const std::string& owner,
                                                     const std::optional<std::string>& after,
                                                     uint32_t count_max) = 0;
};

/// One instance as the store knows it. Times are nanoseconds since 1970.
struct InstanceRecord {
  std::string id;
  std::string owner;
  std::string cmd_name;
  std::string program_hash;
  std::vector<std::string> arguments;  ///< list() gives the first 64 KiB of them
  bool detached = false;
  uint64_t launched_ns = 0;
  std::optional<uint64_t> finished_ns;
  uint64_t arguments_bytes = 0;  ///< of all arguments, about; set by list()
};

class Instances {
 public:
  virtual ~Instances() = default;
  virtual Result<void> add(const InstanceRecord& record) = 0;
  virtual Result<void> finished(const std::string& id, uint64_t finished_ns) = 0;
  /// Forgets the record and the log.
  virtual Result<void> remove(const std::string& id) = 0;
  /// Everything that is known, oldest first.
  virtual Result<std::vector<InstanceRecord>> list() = 0;
  /// The instance's log; what is in it and not yet delivered, when it exists.
  virtual Result<std::unique_ptr<InstanceLogFile>> open_log(const std::string& id) = 0;
};

/// The store of one PIE_HOME: `pie.db` (SQLite), `programs/<hash>.wasm`, `instances/<id>.log`.
class Store {
 public:
  /// Makes the folders and files that are missing. Errors say what to do (see Database::open).
  static Result<std::unique_ptr<Store>> open(const std::filesystem::path& home);
  virtual ~Store() = default;
  virtual Programs& programs() = 0;
  virtual Kvs& kvs() = 0;
  virtual Instances& instances() = 0;
};

}  // namespace pie::store
