#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store/database.h"

namespace pie::store {

/// Key-value pairs in the database's table `kvs`, over a connection of their own: nobody else waits
/// for the programs' values, but for the moment of a commit.
class KeyValueTable {
 public:
  explicit KeyValueTable(std::unique_ptr<Database> database) : database_(std::move(database)) {}

  Result<std::optional<std::string>> get(const std::string& owner, const std::string& key);
  Result<void> set(const std::string& owner, const std::string& key, const std::string& value,
                   uint64_t owner_bytes_max);
  Result<void> remove(const std::string& owner, const std::string& key);
  Result<bool> exists(const std::string& owner, const std::string& key);
  Result<std::vector<std::string>> list_keys(const std::string& owner,
                                             const std::optional<std::string>& after,
                                             uint32_t count_max);

 private:
  /// A change of one key: `body` gets what the owner uses without that key's pair, and adds what it
  /// writes.
  Result<void> change(const std::string& owner, const std::string& key,
                      const std::function<Result<void>(Database&, uint64_t& used)>& body);

  const std::unique_ptr<Database> database_;
  std::mutex mutex_;
  std::map<std::string, uint64_t> used_;  ///< bytes by owner, of those who have changed something
};

}  // namespace pie::store
