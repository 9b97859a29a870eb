#include "store/instance_table.h"

#include <optional>
#include <string_view>
#include <utility>

namespace pie::store {
namespace {

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

}  // namespace

Result<void> InstanceTable::add(const InstanceRecord& record) {
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

Result<void> InstanceTable::finished(const std::string& id, uint64_t finished_ns) {
  return database_.write(Durability::kProcess, [&](Database& db) -> Result<void> {
    PIE_TRY_ASSIGN(Statement row, db.prepare("UPDATE instances SET finished_ns=? WHERE id=?"));
    return row.integer(static_cast<int64_t>(finished_ns)).text(id).run();
  });
}

Result<void> InstanceTable::remove(const std::string& id) {
  return database_.write(Durability::kProcess, [&](Database& db) -> Result<void> {
    PIE_TRY_ASSIGN(Statement row, db.prepare("DELETE FROM instances WHERE id=?"));
    return row.text(id).run();
  });
}

Result<std::vector<InstanceRecord>> InstanceTable::list() {
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
      if (!rows.column_is_null(7)) one.finished_ns = static_cast<uint64_t>(rows.column_integer(7));
      one.arguments_bytes = static_cast<uint64_t>(rows.column_integer(8));
      all.push_back(std::move(one));
    }
  });
  PIE_TRY(std::move(done));
  return all;
}

}  // namespace pie::store
