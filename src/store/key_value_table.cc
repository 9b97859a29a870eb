#include "store/key_value_table.h"

#include <utility>

namespace pie::store {
namespace {

/// What a pair takes beside its key and value.
constexpr uint64_t kPairBytes = 64;

/// Of all pairs of an owner, or of one.
Result<uint64_t> bytes_of(Database& db, const std::string& owner,
                          const std::optional<std::string>& key) {
  PIE_TRY_ASSIGN(
      Statement sum,
      db.prepare(std::string("SELECT TOTAL(LENGTH(CAST(key AS BLOB)) + LENGTH(value) + ?)"
                             " FROM kvs WHERE owner=?") +
                 (key ? " AND key=?" : "")));
  sum.integer(kPairBytes).text(owner);
  if (key) sum.text(*key);
  PIE_TRY(sum.step());
  return static_cast<uint64_t>(sum.column_integer(0));
}

}  // namespace

Result<std::optional<std::string>> KeyValueTable::get(const std::string& owner,
                                                      const std::string& key) {
  std::optional<std::string> value;
  auto done = database_->read([&](Database& db) -> Result<void> {
    PIE_TRY_ASSIGN(Statement rows, db.prepare("SELECT value FROM kvs WHERE owner=? AND key=?"));
    PIE_TRY_ASSIGN(const bool found, rows.text(owner).text(key).step());
    if (found) value = rows.column_text(0);
    return {};
  });
  PIE_TRY(std::move(done));
  return value;
}

Result<void> KeyValueTable::change(
    const std::string& owner, const std::string& key,
    const std::function<Result<void>(Database&, uint64_t& used)>& body) {
  const std::lock_guard lock(mutex_);
  uint64_t used = 0;
  auto done = database_->write(Durability::kProcess, [&](Database& db) -> Result<void> {
    const auto known = used_.find(owner);
    PIE_TRY_ASSIGN(used, known != used_.end() ? Result<uint64_t>(known->second)
                                              : bytes_of(db, owner, std::nullopt));
    PIE_TRY_ASSIGN(const uint64_t before, bytes_of(db, owner, key));
    used -= before;
    return body(db, used);
  });
  if (done.ok()) used_[owner] = used;
  return done;
}

Result<void> KeyValueTable::set(const std::string& owner, const std::string& key,
                                const std::string& value, uint64_t owner_bytes_max) {
  return change(owner, key, [&](Database& db, uint64_t& used) -> Result<void> {
    used += key.size() + value.size() + kPairBytes;
    if (owner_bytes_max > 0 && used > owner_bytes_max)
      return Error{ErrorCode::kResourceExhausted,
                   "[store-set] got keys and values of " + std::to_string(used) +
                       " bytes of the user together, expected at most " +
                       std::to_string(owner_bytes_max) +
                       "; delete some, or raise limits.user_kvs_bytes_max"};
    PIE_TRY_ASSIGN(Statement row, db.prepare("INSERT OR REPLACE INTO kvs VALUES(?,?,?)"));
    return row.text(owner).text(key).blob(value).run();
  });
}

Result<void> KeyValueTable::remove(const std::string& owner, const std::string& key) {
  return change(owner, key, [&](Database& db, uint64_t&) -> Result<void> {
    PIE_TRY_ASSIGN(Statement row, db.prepare("DELETE FROM kvs WHERE owner=? AND key=?"));
    return row.text(owner).text(key).run();
  });
}

Result<bool> KeyValueTable::exists(const std::string& owner, const std::string& key) {
  PIE_TRY_ASSIGN(const auto value, get(owner, key));
  return value.has_value();
}

Result<std::vector<std::string>> KeyValueTable::list_keys(const std::string& owner,
                                                          const std::optional<std::string>& after,
                                                          uint32_t count_max) {
  std::vector<std::string> keys;
  auto done = database_->read([&](Database& db) -> Result<void> {
    PIE_TRY_ASSIGN(Statement rows, db.prepare(std::string("SELECT key FROM kvs WHERE owner=?") +
                                              (after ? " AND key>?" : "") + " ORDER BY key LIMIT " +
                                              std::to_string(count_max)));
    rows.text(owner);
    if (after) rows.text(*after);
    for (;;) {
      PIE_TRY_ASSIGN(const bool more, rows.step());
      if (!more) return {};
      keys.push_back(rows.column_text(0));
    }
  });
  PIE_TRY(std::move(done));
  return keys;
}

}  // namespace pie::store
