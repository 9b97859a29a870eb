#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "base/ledger.h"
#include "base/result.h"
#include "ports/key_values.h"
#include "store/instance_records.h"
#include "store/programs.h"

namespace pie::store {

struct StoreConfig {
  std::filesystem::path home;                         ///< PIE_HOME
  std::vector<std::filesystem::path> registry_roots;  ///< earlier ones win
  uint64_t kvs_user_bytes_max = 0;  ///< keys and values of one user; 0 = unlimited
  uint64_t disk_reserve_bytes = 0;  ///< see DiskReserve
};

/// What outlives the server: programs, the programs' key-value pairs, instances and what they said.
/// Abstract, and every call ends by callback, so that a store over the network can take the file
/// store's place. All thread-safe; callbacks come from threads of the store's, which wait for its
/// disk so that nobody else has to.
class Store {
 public:
  /// The store of one PIE_HOME: `pie.db` (SQLite), `programs/<hash>.wasm`, `instances/<id>.log`.
  /// Makes the folders and files that are missing. Errors say what to do (see Database::open).
  static Result<std::unique_ptr<Store>> open(const StoreConfig& config, Ledger& ledger);
  virtual ~Store() = default;
  virtual Programs& programs() = 0;
  virtual KeyValues& key_values() = 0;
  virtual InstanceRecords& instances() = 0;
  /// Writes what was said and is not written yet. What is asked for later is refused.
  virtual void stop() = 0;
};

}  // namespace pie::store
