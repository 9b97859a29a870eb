#include "store/database.h"

#include <cerrno>
#include <cstring>
#include <utility>

namespace pie::store {
namespace {

/// From version i to i + 1. What stands here was written to users' disks: add, never change.
constexpr const char* kMigrations[] = {
    "CREATE TABLE programs(hash TEXT PRIMARY KEY, bytes INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE names(owner TEXT NOT NULL, ns TEXT NOT NULL, name TEXT NOT NULL,"
    "  version TEXT NOT NULL, hash TEXT NOT NULL, manifest TEXT NOT NULL,"
    "  PRIMARY KEY(owner, ns, name, version)) WITHOUT ROWID;"
    "CREATE TABLE kvs(owner TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,"
    "  PRIMARY KEY(owner, key)) WITHOUT ROWID;"
    "CREATE TABLE instances(id TEXT PRIMARY KEY, owner TEXT NOT NULL, cmd_name TEXT NOT NULL,"
    "  hash TEXT NOT NULL, arguments BLOB NOT NULL, detached INTEGER NOT NULL,"
    "  launched_ns INTEGER NOT NULL, finished_ns INTEGER) WITHOUT ROWID;",
    // Who has uploaded what, for quotas. Of what is there, the names' owners are known.
    "CREATE TABLE uploads(owner TEXT NOT NULL, hash TEXT NOT NULL, bytes INTEGER NOT NULL,"
    "  PRIMARY KEY(owner, hash)) WITHOUT ROWID;"
    "INSERT INTO uploads SELECT DISTINCT names.owner, names.hash, programs.bytes"
    "  FROM names JOIN programs ON programs.hash = names.hash;",
    "CREATE INDEX names_by_hash ON names(owner, hash);",
};
static_assert(std::size(kMigrations) == Database::kSchemaVersion);

ErrorCode error_code_of(int code, int system) {
  switch (code) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return ErrorCode::kCorrupt;
    case SQLITE_FULL:
    case SQLITE_NOMEM: return ErrorCode::kResourceExhausted;
    default: break;
  }
  const bool is_used_up = system == EMFILE || system == ENFILE || system == ENOSPC;
  return is_used_up && (code == SQLITE_CANTOPEN || code == SQLITE_IOERR)
             ? ErrorCode::kResourceExhausted
             : ErrorCode::kInternal;
}

Error failure_of(sqlite3* connection, std::string_view what) {
  const int code = connection ? sqlite3_errcode(connection) : SQLITE_CANTOPEN;
  std::string reason = connection ? sqlite3_errmsg(connection) : "out of memory";
  const int system = connection ? sqlite3_system_errno(connection) : ENOMEM;
  if ((code == SQLITE_CANTOPEN || code == SQLITE_IOERR) && system != 0)
    reason += std::string(" (") + std::strerror(system) + ")";
  return {error_code_of(code, system), "[store " + std::string(what) + "] got: " + reason};
}

}  // namespace

Error Statement::failure() const { return failure_of(connection_, "statement"); }

Statement& Statement::text(std::string_view value) {
  sqlite3_bind_text64(statement_.get(), ++bound_, value.data() ? value.data() : "", value.size(),
                      SQLITE_TRANSIENT, SQLITE_UTF8);
  return *this;
}

Statement& Statement::blob(std::string_view value) {
  sqlite3_bind_blob64(statement_.get(), ++bound_, value.data() ? value.data() : "", value.size(),
                      SQLITE_TRANSIENT);
  return *this;
}

Statement& Statement::integer(int64_t value) {
  sqlite3_bind_int64(statement_.get(), ++bound_, value);
  return *this;
}

Result<bool> Statement::step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return failure();
}

Result<void> Statement::run() {
  PIE_TRY(step());
  return {};
}

std::string Statement::column_text(int i) const {
  const void* bytes = sqlite3_column_blob(statement_.get(), i);
  const int size = sqlite3_column_bytes(statement_.get(), i);
  return bytes ? std::string(static_cast<const char*>(bytes), static_cast<size_t>(size))
               : std::string();
}

int64_t Statement::column_integer(int i) const { return sqlite3_column_int64(statement_.get(), i); }

bool Statement::column_is_null(int i) const {
  return sqlite3_column_type(statement_.get(), i) == SQLITE_NULL;
}

Result<std::unique_ptr<Database>> Database::open(const std::filesystem::path& file) {
  auto database = std::make_unique<Database>();
  database->file_ = file;
  sqlite3* connection = nullptr;
  const int code =
      sqlite3_open_v2(file.c_str(), &connection,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  database->connection_.reset(connection);
  if (code != SQLITE_OK) return failure_of(connection, file.string());
  sqlite3_busy_timeout(connection, 60'000);  // others' commits, on a disk that is slow
  auto ready = database->execute(
      "PRAGMA journal_mode=WAL; PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY;");
  if (ready.ok()) ready = database->migrate();
  if (ready.ok()) return database;
  Error error = std::move(ready).error();
  if (error.code == ErrorCode::kCorrupt)
    error.message += " (" + file.string() +
                     " is damaged: move it away to start with an empty store, or restore a copy)";
  return error;
}

Result<void> Database::migrate() {
  int version = 0;
  {
    PIE_TRY_ASSIGN(Statement statement, prepare("PRAGMA user_version"));
    PIE_TRY(statement.step());
    version = static_cast<int>(statement.column_integer(0));
  }
  if (version > kSchemaVersion)
    return Error{ErrorCode::kFailedPrecondition,
                 "[store " + file_.string() + "] got schema version " + std::to_string(version) +
                     ", expected at most " + std::to_string(kSchemaVersion) +
                     ": a newer pie wrote it; run that one, or choose another PIE_HOME"};
  for (; version < kSchemaVersion; ++version) {
    auto done = write(Durability::kDisk, [version](Database& self) -> Result<void> {
      PIE_TRY(self.execute(kMigrations[version]));
      return self.execute(("PRAGMA user_version=" + std::to_string(version + 1)).c_str());
    });
    PIE_TRY(std::move(done));
  }
  return {};
}

Result<Statement> Database::prepare(std::string_view sql) {
  Statement statement;
  sqlite3_stmt* raw = nullptr;
  const int code = sqlite3_prepare_v2(connection_.get(), sql.data(), static_cast<int>(sql.size()),
                                      &raw, nullptr);
  statement.statement_.reset(raw);
  statement.connection_ = connection_.get();
  if (code != SQLITE_OK) return failure_of(connection_.get(), "statement");
  return statement;
}

Result<void> Database::execute(const char* sql) {
  if (sqlite3_exec(connection_.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK)
    return failure_of(connection_.get(), file_.string());
  return {};
}

Result<void> Database::read(const std::function<Result<void>(Database&)>& body) {
  const std::lock_guard lock(mutex_);
  return body(*this);
}

Result<void> Database::write(Durability durability,
                             const std::function<Result<void>(Database&)>& body) {
  const std::lock_guard lock(mutex_);
  if (durability_ != durability) {
    PIE_TRY(execute(durability == Durability::kDisk ? "PRAGMA synchronous=FULL"
                                                    : "PRAGMA synchronous=NORMAL"));
    durability_ = durability;
  }
  PIE_TRY(execute("BEGIN IMMEDIATE"));
  auto done = body(*this);
  if (done.ok()) done = execute("COMMIT");
  if (!done.ok()) sqlite3_exec(connection_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
  return done;
}

}  // namespace pie::store
