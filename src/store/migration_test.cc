// Stores that earlier versions wrote, opened by this one.
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <filesystem>
#include <memory>
#include <string>

#include "base/file.h"
#include "store/database.h"
#include "store/instance_table.h"
#include "store/key_value_table.h"
#include "store/program_files.h"

namespace pie::store {
namespace {

namespace fs = std::filesystem;

/// pie.db of schema version 1 as the program of that time wrote it, with one of everything.
constexpr const char* kVersion1 = R"sql(
CREATE TABLE programs(hash TEXT PRIMARY KEY, bytes INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE names(owner TEXT NOT NULL, ns TEXT NOT NULL, name TEXT NOT NULL,
  version TEXT NOT NULL, hash TEXT NOT NULL, manifest TEXT NOT NULL,
  PRIMARY KEY(owner, ns, name, version)) WITHOUT ROWID;
CREATE TABLE kvs(owner TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,
  PRIMARY KEY(owner, key)) WITHOUT ROWID;
CREATE TABLE instances(id TEXT PRIMARY KEY, owner TEXT NOT NULL, cmd_name TEXT NOT NULL,
  hash TEXT NOT NULL, arguments BLOB NOT NULL, detached INTEGER NOT NULL,
  launched_ns INTEGER NOT NULL, finished_ns INTEGER) WITHOUT ROWID;
INSERT INTO programs VALUES('aaaa', 5000), ('bbbb', 1);
INSERT INTO names VALUES('ann', 'ns', 'p', '1.0.0', 'aaaa', '[package]');
INSERT INTO names VALUES('ann', 'ns', 'p', '1.0.1', 'aaaa', '[package]');
INSERT INTO names VALUES('bob', 'ns', 'q', '1.0.0', 'aaaa', '[package]');
INSERT INTO kvs VALUES('ann', 'key', x'00ff');
INSERT INTO instances VALUES('id-1', 'ann', 'ns/p@1.0.0', 'aaaa', x'', 1, 42, 77);
PRAGMA user_version=1;
)sql";

class Migration : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    home_ = fs::path(testing::TempDir()) / ("pie_migration_" + std::string(test->name()));
    fs::remove_all(home_);
    fs::create_directories(home_ / "programs");
    ASSERT_TRUE(write_file_atomically(home_ / "programs" / "aaaa.wasm", "wasm").ok());
  }
  void TearDown() override { fs::remove_all(home_); }

  /// Runs SQL on the file, as other programs do.
  void sql(const std::string& text) const {
    sqlite3* connection = nullptr;
    ASSERT_EQ(sqlite3_open((home_ / "pie.db").c_str(), &connection), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(connection, text.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
        << sqlite3_errmsg(connection);
    sqlite3_close(connection);
  }
  int64_t number(const std::string& query) const {
    sqlite3* connection = nullptr;
    sqlite3_stmt* statement = nullptr;
    EXPECT_EQ(sqlite3_open((home_ / "pie.db").c_str(), &connection), SQLITE_OK);
    EXPECT_EQ(sqlite3_prepare_v2(connection, query.c_str(), -1, &statement, nullptr), SQLITE_OK)
        << sqlite3_errmsg(connection);
    EXPECT_EQ(sqlite3_step(statement), SQLITE_ROW);
    const int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(connection);
    return value;
  }

  fs::path home_;
};

TEST_F(Migration, a_store_of_version_1_keeps_everything_and_its_names_owners_count_their_programs) {
  sql(kVersion1);
  {
    auto opened = Database::open(home_ / "pie.db");
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    ProgramFiles programs(**opened, home_ / "programs");
    EXPECT_EQ(*read_all(**programs.wasm("aaaa")), "wasm");
    EXPECT_EQ(programs.find("ann", {"ns", "p", {}})->name.text(), "ns/p@1.0.1");
    EXPECT_EQ(
        **KeyValueTable(std::move(Database::open(home_ / "pie.db")).value()).get("ann", "key"),
        std::string("\0\xff", 2));
    const auto instances = InstanceTable(**opened).list();
    ASSERT_EQ(instances->size(), 1U);
    EXPECT_EQ(instances->front().finished_ns, 77U);
    // 8 KiB of a program, 4 KiB for each of two manifests.
    const auto put = [&](uint64_t bytes_max) {
      return programs.put(
          {"ann", "cccc", make_memory_blob({uint8_t{120}}), std::nullopt, bytes_max});
    };
    EXPECT_EQ(put(16'384 + 4'095).error().code, ErrorCode::kResourceExhausted);
    EXPECT_TRUE(put(16'384 + 4'096).ok());
  }
  EXPECT_EQ(number("PRAGMA user_version"), Database::kSchemaVersion);
  EXPECT_EQ(number("SELECT COUNT(*) FROM uploads"), 3);
  EXPECT_EQ(number("SELECT COUNT(*) FROM sqlite_master WHERE name='names_by_hash'"), 1);
  EXPECT_TRUE(Database::open(home_ / "pie.db").ok());  // and again, with nothing to migrate
}

TEST_F(Migration, a_step_that_fails_changes_nothing) {
  sql(kVersion1);
  sql("CREATE TABLE uploads(somebody TEXT)");  // in the way of version 2
  const auto opened = Database::open(home_ / "pie.db");
  ASSERT_FALSE(opened.ok());
  EXPECT_NE(opened.error().message.find("uploads"), std::string::npos) << opened.error().message;
  EXPECT_EQ(number("PRAGMA user_version"), 1);
  EXPECT_EQ(number("SELECT COUNT(*) FROM names"), 3);
  sql("DROP TABLE uploads");
  EXPECT_TRUE(Database::open(home_ / "pie.db").ok());
}

}  // namespace
}  // namespace pie::store
