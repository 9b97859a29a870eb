#include "store/program_files.h"

#include <optional>
#include <set>
#include <utility>

#include "store/manifest.h"
#include "store/orphans.h"

namespace pie::store {
namespace {

namespace fs = std::filesystem;

Error program_not_found() { return {ErrorCode::kNotFound, "Program not found"}; }

/// What a file of so many bytes takes.
uint64_t whole_blocks(uint64_t bytes) { return (bytes + 4'095) / 4'096 * 4'096; }

/// An upload with its name. Points to the upload.
struct UploadEntry {
  const std::string& owner;
  const std::string& hash;
  uint64_t wasm_bytes;
  uint64_t bytes_max;
  std::optional<ProgramName> name;
  std::string_view manifest;
};

Result<UploadEntry> entry_of(const ProgramUpload& upload) {
  UploadEntry entry{upload.owner,           upload.hash,  upload.wasm->size(),
                    upload.owner_bytes_max, std::nullopt, {}};
  if (!upload.manifest) return entry;
  PIE_TRY_ASSIGN(Manifest parsed, parse_manifest(*upload.manifest));
  entry.name = std::move(parsed.name);
  entry.manifest = *upload.manifest;
  return entry;
}

Result<void> check_quota(Database& db, const UploadEntry& upload) {
  if (upload.bytes_max == 0) return {};
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
  if (used <= upload.bytes_max) return {};
  return Error{ErrorCode::kResourceExhausted,
               "[upload] got programs of " + upload.owner + " of " + std::to_string(used) +
                   " bytes together, expected at most " + std::to_string(upload.bytes_max) +
                   "; upload fewer or smaller ones, or raise limits.user_program_bytes_max"};
}

Result<void> record(Database& db, const UploadEntry& upload) {
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

}  // namespace

ProgramFiles::ProgramFiles(Database& database, fs::path folder)
    : database_(database), folder_(std::move(folder)) {
  remove_orphans();
}

Result<void> ProgramFiles::put(const ProgramUpload& upload) {
  PIE_TRY_ASSIGN(const UploadEntry entry, entry_of(upload));
  PIE_TRY(database_.read([&](Database& db) { return check_quota(db, entry); }));
  PIE_TRY(write_blob_atomically(file_of(upload.hash), *upload.wasm));
  return database_.write(Durability::kDisk, [&](Database& db) -> Result<void> {
    PIE_TRY(check_quota(db, entry));  // others may have uploaded meanwhile
    return record(db, entry);
  });
}

Result<void> ProgramFiles::check_room(const ProgramUpload& upload) {
  PIE_TRY_ASSIGN(const UploadEntry entry, entry_of(upload));
  return database_.read([&](Database& db) { return check_quota(db, entry); });
}

Result<bool> ProgramFiles::has(const std::string& hash) {
  bool found = false;
  auto done = database_.read([&](Database& db) -> Result<void> {
    PIE_TRY_ASSIGN(Statement rows, db.prepare("SELECT 1 FROM programs WHERE hash=?"));
    PIE_TRY_ASSIGN(found, rows.text(hash).step());
    return {};
  });
  PIE_TRY(std::move(done));
  return found;
}

Result<BlobRef> ProgramFiles::wasm(const std::string& hash) {
  PIE_TRY_ASSIGN(const bool known, has(hash));
  if (!known) return program_not_found();
  return open_file_blob(file_of(hash));
}

Result<NamedProgram> ProgramFiles::find(const std::string& owner, const ProgramName& name) {
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

Result<std::vector<NamedProgram>> ProgramFiles::names_of(const std::string& owner,
                                                         const std::string& hash) {
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

void ProgramFiles::remove_orphans() {
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

}  // namespace pie::store
