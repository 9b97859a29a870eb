#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include "base/file.h"
#include "store/database.h"
#include "store/file_kvs.h"
#include "store/manifest.h"
#include "store/store.h"

namespace pie::store {
namespace {

namespace fs = std::filesystem;

Error program_not_found() { return {ErrorCode::kNotFound, "Program not found"}; }

/// Removes the files of `folder` that are not `known`.
void remove_others(const fs::path& folder, const std::set<fs::path>& known) {
  std::error_code ignored;
  std::vector<fs::path> others;
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    if (!known.contains(entry.path())) others.push_back(entry.path());
  for (const auto& path : others) fs::remove(path, ignored);
}

/// What a file of so many bytes takes.
uint64_t whole_blocks(uint64_t bytes) { return (bytes + 4'095) / 4'096 * 4'096; }

class FilePrograms final : public Programs {
 public:
  FilePrograms(Database& database, fs::path folder)
      : database_(database), folder_(std::move(folder)) {}

  Result<void> put(const std::string& owner, const std::string& hash, std::string_view wasm,
                   const std::optional<std::string>& manifest, uint64_t owner_bytes_max) override {
    PIE_TRY_ASSIGN(const Upload upload, upload_of(owner, hash, wasm, manifest));
    PIE_TRY(database_.read([&](Database& db) { return check_quota(db, upload, owner_bytes_max); }));
    PIE_TRY(write_file_atomically(file_of(hash), wasm));
    return database_.write(Durability::kDisk, [&](Database& db) -> Result<void> {
      PIE_TRY(check_quota(db, upload, owner_bytes_max));  // others may have uploaded meanwhile
      return record(db, upload);
    });
  }

  Result<void> check_room(const std::string& owner, const std::string& hash, std::string_view wasm,
                          const std::optional<std::string>& manifest,
                          uint64_t owner_bytes_max) override {
    PIE_TRY_ASSIGN(const Upload upload, upload_of(owner, hash, wasm, manifest));
    return database_.read([&](Database& db) { return check_quota(db, upload, owner_bytes_max); });
  }

  Result<bool> has(const std::string& hash) override {
    bool found = false;
    auto done = database_.read([&](Database& db) -> Result<void> {
      PIE_TRY_ASSIGN(Statement rows, db.prepare("SELECT 1 FROM programs WHERE hash=?"));
      PIE_TRY_ASSIGN(found, rows.text(hash).step());
      return {};
    });
    PIE_TRY(std::move(done));
    return found;
  }

  Result<std::string> wasm(const std::string& hash) override {
    PIE_TRY_ASSIGN(const bool known, has(hash));
    if (!known) return program_not_found();
    return read_file(file_of(hash));
  }

  Result<NamedProgram> find(const std::string& owner, const ProgramName& name) override {
    std::optional<NamedProgram> best;
    VersionChoice choice(name);
    auto done = database_.read([&](Database& db) -> Result<void> {
      PIE_TRY_ASSIGN(
          Statement rows,
          db.prepare("SELECT version,hash,manifest FROM names WHERE owner=? AND ns=? AND name=?"));
      rows.text(owner).text(name.ns).text(name.name);
      for (;;) {
        PIE_TRY_ASSIGN(const bool more, rows.step());
        if (!more) return {};
        auto version = Version::parse(rows.column_text(0));
        if (!version.ok() || !choice.offer(*version)) continue;
        best = NamedProgram{
            {name.ns, name.name, version->text()}, rows.column_text(1), rows.column_text(2)};
      }
    });
    PIE_TRY(std::move(done));
    if (!best) return choice.not_found();
    return std::move(*best);
  }

  Result<std::vector<NamedProgram>> names_of(const std::string& owner,
                                             const std::string& hash) override {
    std::vector<NamedProgram> names;
    auto done = database_.read([&](Database& db) -> Result<void> {
      PIE_TRY_ASSIGN(
          Statement rows,
          db.prepare("SELECT ns,name,version,manifest FROM names WHERE owner=? AND hash=?"));
      rows.text(owner).text(hash);
      for (;;) {
        PIE_TRY_ASSIGN(const bool more, rows.step());
        if (!more) return {};
        names.push_back({{rows.column_text(0), rows.column_text(1), rows.column_text(2)},
                         hash,
                         rows.column_text(3)});
      }
    });
    PIE_TRY(std::move(done));
    return names;
  }

  /// Files that a crash left: written and not recorded.
  void remove_orphans() {
    std::set<fs::path> known;
    const auto done = database_.read([&](Database& db) -> Result<void> {
      PIE_TRY_ASSIGN(Statement rows, db.prepare("SELECT hash FROM programs"));
      for (;;) {
        PIE_TRY_ASSIGN(const bool more, rows.step());
        if (!more) return {};
        known.insert(file_of(rows.column_text(0)));
      }
    });
    if (done.ok()) remove_others(folder_, known);
  }

 private:
  struct Upload {
    const std::string& owner;
    const std::string& hash;
    uint64_t wasm_bytes;
    std::optional<ProgramName> name;
    std::string_view manifest;
  };

  /// Points to its arguments.
  static Result<Upload> upload_of(const std::string& owner, const std::string& hash,
                                  std::string_view wasm,
                                  const std::optional<std::string>& manifest) {
    Upload upload{owner, hash, wasm.size(), std::nullopt, {}};
    if (!manifest) return upload;
    PIE_TRY_ASSIGN(Manifest parsed, parse_manifest(*manifest));
    upload.name = std::move(parsed.name);
    upload.manifest = *manifest;
    return upload;
  }

  static Result<void> check_quota(Database& db, const Upload& upload, uint64_t bytes_max) {
    if (bytes_max == 0) return {};
    // What the upload replaces does not count.
    PIE_TRY_ASSIGN(
        Statement sum,
        db.prepare("SELECT (SELECT TOTAL((bytes+4095)/4096*4096) FROM uploads"
                   "  WHERE owner=?1 AND hash<>?2) + (SELECT TOTAL((LENGTH(CAST(manifest AS "
                   "BLOB))+4095)/4096*4096)"
                   "  FROM names WHERE owner=?1 AND NOT (ns=?3 AND name=?4 AND version=?5))"));
    sum.text(upload.owner).text(upload.hash);
    sum.text(upload.name ? upload.name->ns : "").text(upload.name ? upload.name->name : "");
    sum.text(upload.name ? *upload.name->version : "");
    PIE_TRY(sum.step());
    const uint64_t used = static_cast<uint64_t>(sum.column_integer(0)) +
                          whole_blocks(upload.wasm_bytes) + whole_blocks(upload.manifest.size());
    if (used <= bytes_max) return {};
    return Error{ErrorCode::kResourceExhausted,
                 "[upload] got programs of " + upload.owner + " of " + std::to_string(used) +
                     " bytes together, expected at most " + std::to_string(bytes_max) +
                     "; upload fewer or smaller ones, or raise limits.user_program_bytes_max"};
  }

  static Result<void> record(Database& db, const Upload& upload) {
    const auto bytes = static_cast<int64_t>(upload.wasm_bytes);
    PIE_TRY_ASSIGN(Statement program, db.prepare("INSERT OR REPLACE INTO programs VALUES(?,?)"));
    PIE_TRY(program.text(upload.hash).integer(bytes).run());
    PIE_TRY_ASSIGN(Statement owned, db.prepare("INSERT OR REPLACE INTO uploads VALUES(?,?,?)"));
    PIE_TRY(owned.text(upload.owner).text(upload.hash).integer(bytes).run());
    if (!upload.name) return {};
    PIE_TRY_ASSIGN(Statement named, db.prepare("INSERT OR REPLACE INTO names VALUES(?,?,?,?,?,?)"));
    return named.text(upload.owner)
        .text(upload.name->ns)
        .text(upload.name->name)
        .text(*upload.name->version)
        .text(upload.hash)
        .text(upload.manifest)
        .run();
  }

  fs::path file_of(const std::string& hash) const { return folder_ / (hash + ".wasm"); }

  Database& database_;
  const fs::path folder_;
};

/// Arguments as "<length>:<bytes>" one after the other: they may hold any byte.
std::string join_arguments(const std::vector<std::string>& arguments) {
  std::string joined;
  for (const auto& one : arguments)
    joined.append(std::to_string(one.size())).append(":").append(one);
  return joined;
}

/// `joined` may be cut off: then the last argument is, too, and says so.
std::vector<std::string> split_arguments(std::string_view joined) {
  std::vector<std::string> arguments;
  while (!joined.empty()) {
    size_t bytes = 0;
    size_t at = 0;
    for (; at < joined.size() && joined[at] >= '0' && joined[at] <= '9'; ++at)
      bytes = bytes * 10 + static_cast<size_t>(joined[at] - '0');
    if (at >= joined.size()) break;
    if (bytes > joined.size() - at - 1) {
      arguments.push_back(std::string(joined.substr(at + 1)) + "\u2026");
      break;
    }
    arguments.emplace_back(joined.substr(at + 1, bytes));
    joined.remove_prefix(at + 1 + bytes);
  }
  return arguments;
}

class FileInstances final : public Instances {
 public:
  FileInstances(Database& database, fs::path folder)
      : database_(database), folder_(std::move(folder)) {}

  Result<void> add(const InstanceRecord& record) override {
    return database_.write(Durability::kProcess, [&](Database& db) -> Result<void> {
      PIE_TRY_ASSIGN(Statement row,
                     db.prepare("INSERT OR REPLACE INTO instances VALUES(?,?,?,?,?,?,?,NULL)"));
      return row.text(record.id)
          .text(record.owner)
          .text(record.cmd_name)
          .text(record.program_hash)
          .blob(join_arguments(record.arguments))
          .integer(record.detached ? 1 : 0)
          .integer(static_cast<int64_t>(record.launched_ns))
          .run();
    });
  }
  Result<void> finished(const std::string& id, uint64_t finished_ns) override {
    return database_.write(Durability::kProcess, [&](Database& db) -> Result<void> {
      PIE_TRY_ASSIGN(Statement row, db.prepare("UPDATE instances SET finished_ns=? WHERE id=?"));
      return row.integer(static_cast<int64_t>(finished_ns)).text(id).run();
    });
  }
  Result<void> remove(const std::string& id) override {
    // The row first: one without its log would look like an instance that never said a word.
    PIE_TRY(database_.write(Durability::kProcess, [&](Database& db) -> Result<void> {
      PIE_TRY_ASSIGN(Statement row, db.prepare("DELETE FROM instances WHERE id=?"));
      return row.text(id).run();
    }));
    std::error_code ignored;
    fs::remove(log_of(id), ignored);
    return {};
  }
  Result<std::vector<InstanceRecord>> list() override {
    std::vector<InstanceRecord> all;
    auto done = database_.read([&](Database& db) -> Result<void> {
      PIE_TRY_ASSIGN(
          Statement rows,
          db.prepare(
              "SELECT id,owner,cmd_name,hash,SUBSTR(arguments,1,65536),detached,"
              "launched_ns,finished_ns,LENGTH(arguments) FROM instances ORDER BY launched_ns"));
      for (;;) {
        PIE_TRY_ASSIGN(const bool more, rows.step());
        if (!more) return {};
        InstanceRecord one{rows.column_text(0),
                           rows.column_text(1),
                           rows.column_text(2),
                           rows.column_text(3),
                           split_arguments(rows.column_text(4)),
                           rows.column_integer(5) != 0,
                           static_cast<uint64_t>(rows.column_integer(6)),
                           std::nullopt};
        if (!rows.column_is_null(7))
          one.finished_ns = static_cast<uint64_t>(rows.column_integer(7));
        one.arguments_bytes = static_cast<uint64_t>(rows.column_integer(8));
        all.push_back(std::move(one));
      }
    });
    PIE_TRY(std::move(done));
    return all;
  }
  Result<std::unique_ptr<InstanceLogFile>> open_log(const std::string& id) override {
    return InstanceLogFile::open(log_of(id));
  }

  /// Logs that a crash left behind when their instances were removed.
  void remove_orphans() {
    const auto records = list();
    if (!records.ok()) return;
    std::set<fs::path> known;
    for (const auto& one : *records) known.insert(log_of(one.id));
    remove_others(folder_, known);
  }

 private:
  fs::path log_of(const std::string& id) const { return folder_ / (id + ".log"); }

  Database& database_;
  const fs::path folder_;
};

class FileStore final : public Store {
 public:
  FileStore(std::unique_ptr<Database> database, std::unique_ptr<Database> kvs_database,
            const fs::path& home)
      : database_(std::move(database)),
        programs_(*database_, home / "programs"),
        kvs_(std::move(kvs_database)),
        instances_(*database_, home / "instances") {
    programs_.remove_orphans();
    instances_.remove_orphans();
  }
  Programs& programs() override { return programs_; }
  Kvs& kvs() override { return kvs_; }
  Instances& instances() override { return instances_; }

 private:
  std::unique_ptr<Database> database_;
  FilePrograms programs_;
  FileKvs kvs_;
  FileInstances instances_;
};

}  // namespace

Result<std::unique_ptr<Store>> Store::open(const fs::path& home) {
  for (const char* folder : {"programs", "instances"}) {
    std::error_code failed;
    fs::create_directories(home / folder, failed);
    if (failed)
      return Error{ErrorCode::kPermissionDenied, "[store] got " + failed.message() +
                                                     " for the folder " + (home / folder).string() +
                                                     ", expected one that can be written"};
  }
  PIE_TRY(sync_folder(home));
  PIE_TRY_ASSIGN(auto database, Database::open(home / "pie.db"));
  PIE_TRY_ASSIGN(auto kvs_database, Database::open(home / "pie.db"));
  PIE_TRY(sync_folder(home));
  return std::unique_ptr<Store>(
      std::make_unique<FileStore>(std::move(database), std::move(kvs_database), home));
}

}  // namespace pie::store
