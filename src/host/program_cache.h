#pragma once
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <tuple>

#include "base/quota.h"
#include "base/result.h"

namespace pie::host {

/// What programs have made and need not make again (pie:program/cache): values by key for a user
/// and a program together, in memory, charged to the user. What was used longest ago makes room:
/// the user's own first, then anybody's. Thread-safe.
class ProgramCache {
 public:
  static constexpr uint64_t kKeyBytesMax = 1'024;
  static constexpr uint64_t kValueBytesMax = 16 << 20;
  struct Limits {
    uint64_t user_bytes_max = 64 << 20;
    uint64_t total_bytes_max = 256 << 20;
  };
  using Value = std::shared_ptr<const std::string>;

  ProgramCache() : ProgramCache(Limits{}) {}
  explicit ProgramCache(const Limits& limits) : limits_(limits) {}

  /// Null when there is none.
  Value load(const std::string& user, const std::string& program, std::string_view key);
  /// In place of what had that key; empty: removes it. `memory`, the user's, is charged until it
  /// goes; it may be null. kInvalidArgument for one that is too long, kResourceExhausted.
  Result<void> store(const std::string& user, const std::string& program, std::string_view key,
                     std::string value, const std::shared_ptr<Quota>& memory);

 private:
  using Key = std::tuple<std::string, std::string, std::string>;  ///< user, program, key
  struct Entry {
    Key key;
    Value value;
    uint64_t bytes;
    Holding held;
  };
  using Entries = std::list<Entry>;

  // Under the lock.
  uint64_t bytes_of(const std::string& user) const;
  void remove(Entries::iterator entry);
  /// The entry of the user's, or of anybody's, that was used longest ago; false: there is none.
  bool remove_oldest(const std::string& user);
  bool remove_oldest();

  const Limits limits_;
  mutable std::mutex mutex_;
  Entries entries_;  ///< the one used last first
  std::map<Key, Entries::iterator> by_key_;
  std::map<std::string, uint64_t> user_bytes_;
  uint64_t total_bytes_ = 0;
};

}  // namespace pie::host
