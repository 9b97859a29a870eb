#pragma once
#include <sqlite3.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace pie::store {

/// A prepared statement that is bound and stepped once. Not thread-safe.
class Statement {
 public:
  Statement& text(std::string_view value);
  Statement& blob(std::string_view value);
  Statement& integer(int64_t value);
  /// True: a row is there.
  Result<bool> step();
  /// Steps a statement that gives no rows.
  Result<void> run();
  std::string column_text(int i) const;
  int64_t column_integer(int i) const;
  bool column_is_null(int i) const;

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  Error failure() const;

  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  sqlite3* connection_ = nullptr;
  int bound_ = 0;
};

/// How sure a change is when it returns.
enum class Durability {
  kProcess,  ///< survives the death of this process
  kDisk,     ///< survives a power loss
};

/// One connection to the one SQLite file (WAL). Thread-safe: one caller at a time. Others' reads
/// never wait for a writer; a write waits while another connection commits.
class Database {
 public:
  /// The schema that this program writes. A file with an older one is migrated, step by step; a
  /// newer one is refused.
  static constexpr int kSchemaVersion = 3;

  /// kCorrupt when the file is not a healthy database, kFailedPrecondition for a newer schema;
  /// both say what to do.
  static Result<std::unique_ptr<Database>> open(const std::filesystem::path& file);

  /// Runs `body` with the file to itself, as one transaction when it writes.
  Result<void> read(const std::function<Result<void>(Database&)>& body);
  Result<void> write(Durability durability, const std::function<Result<void>(Database&)>& body);

  /// Within read() or write() only.
  Result<Statement> prepare(std::string_view sql);
  Result<void> execute(const char* sql);

 private:
  struct Close {
    void operator()(sqlite3* connection) const { sqlite3_close_v2(connection); }
  };
  Result<void> migrate();

  std::filesystem::path file_;
  std::mutex mutex_;
  std::unique_ptr<sqlite3, Close> connection_;
  std::optional<Durability> durability_;
};

}  // namespace pie::store
