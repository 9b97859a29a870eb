#include "store/store.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/file.h"
#include "crypto/blake3.h"
#include "store/database.h"
#include "store/disk_reserve.h"
#include "store/instance_log_file.h"
#include "store/key_value_table.h"
#include "store/manifest.h"
#include "store/program_files.h"
#include "store/registry.h"
#include "store/waiting.h"

namespace pie::store {
namespace {

namespace fs = std::filesystem;

EventRecord message(uint64_t seq) { return {.seq = seq, .kind = EventKind::kMessage}; }

class StoreTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    home_ = fs::path(testing::TempDir()) / ("pie_store_" + std::string(test->name()));
    fs::remove_all(home_);
    reopen();
  }
  void TearDown() override {
    store_.reset();
    files_.reset();
    fs::remove_all(home_);
  }
  Result<std::unique_ptr<Store>> open(uint64_t kvs_user_bytes_max = 0) {
    return Store::open({.home = home_,
                        .registry_roots = {},
                        .kvs_user_bytes_max = kvs_user_bytes_max,
                        .disk_reserve_bytes = DiskReserve::kNone},
                       ledger_);
  }
  void reopen(uint64_t kvs_user_bytes_max = 0) {
    store_.reset();
    files_.reset();
    auto opened = open(kvs_user_bytes_max);
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    store_ = std::move(opened).value();
    auto database = Database::open(home_ / "pie.db");
    ASSERT_TRUE(database.ok()) << database.error().message;
    database_ = std::move(database).value();
    files_.emplace(*database_, home_ / "programs");
  }
  static std::string manifest(const std::string& name, const std::string& version) {
    return "[package]\nname = \"" + name + "\"\nversion = \"" + version + "\"\n";
  }
  std::string put(const std::string& owner, const std::string& wasm,
                  const std::optional<std::string>& manifest_text = std::nullopt) {
    const std::string hash = crypto::blake3_hex(wasm);
    EXPECT_TRUE(files_->put(upload(owner, wasm, manifest_text)).ok());
    return hash;
  }
  static ProgramUpload upload(const std::string& owner, const std::string& wasm,
                              const std::optional<std::string>& manifest_text,
                              uint64_t bytes_max = 0) {
    return {owner, crypto::blake3_hex(wasm), make_memory_blob({wasm.begin(), wasm.end()}),
            manifest_text, bytes_max};
  }
  Result<void> set(const std::string& user, const std::string& key, const std::string& value) {
    return wait<Result<void>>(
        [&](auto done) { store_->key_values().set(user, key, value, std::move(done)); });
  }
  Result<std::optional<std::string>> get(const std::string& user, const std::string& key) {
    return wait<Result<std::optional<std::string>>>(
        [&](auto done) { store_->key_values().get(user, key, std::move(done)); });
  }
  Result<void> remove(const std::string& user, const std::string& key) {
    return wait<Result<void>>(
        [&](auto done) { store_->key_values().remove(user, key, std::move(done)); });
  }
  Result<void> add(const InstanceRecord& record) {
    return wait<Result<void>>([&](auto done) { store_->instances().add(record, std::move(done)); });
  }

  fs::path home_;
  Ledger ledger_{UserLimits{}, TotalLimits{}, 0};
  std::unique_ptr<Store> store_;
  std::unique_ptr<Database> database_;
  std::optional<ProgramFiles> files_;
};

TEST_F(StoreTest, a_program_is_there_by_hash_after_reopening) {
  const std::string hash = put("u", "bytes");
  reopen();
  EXPECT_TRUE(*files_->has(hash));
  EXPECT_EQ(*read_all(**files_->wasm(hash)), "bytes");
  EXPECT_EQ(files_->wasm(std::string(64, '0')).error().message, "Program not found");
  EXPECT_FALSE(files_->wasm("../pie.db").ok());
}

TEST_F(StoreTest, a_name_means_the_newest_version_and_belongs_to_its_owner) {
  const std::string nine = put("u", "nine", manifest("ns/p", "1.9.0"));
  const std::string ten = put("u", "ten", manifest("ns/p", "1.10.0"));
  put("u", "early", manifest("ns/p", "1.10.0-rc.1"));
  EXPECT_EQ(files_->find("u", {"ns", "p", {}})->hash, ten);
  EXPECT_EQ(files_->find("u", {"ns", "p", "1.9.0"})->hash, nine);
  EXPECT_EQ(files_->find("other", {"ns", "p", {}}).error().code, ErrorCode::kNotFound);
  reopen();
  EXPECT_EQ(files_->find("u", {"ns", "p", {}})->name.text(), "ns/p@1.10.0");
}

TEST_F(StoreTest, a_pre_release_is_taken_by_its_name_alone) {
  const std::string release = put("u", "release", manifest("ns/p", "1.10.0"));
  const std::string candidate = put("u", "candidate", manifest("ns/p", "2.0.0-rc.1"));
  EXPECT_EQ(files_->find("u", {"ns", "p", {}})->hash, release);
  EXPECT_EQ(files_->find("u", {"ns", "p", "2.0.0-rc.1"})->hash, candidate);
  put("u", "alpha", manifest("ns/q", "0.1.0-alpha.1"));
  put("u", "alpha 2", manifest("ns/q", "0.1.0-alpha.2"));
  const auto missing = files_->find("u", {"ns", "q", {}});
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(missing.error().message,
            "Program not found: ns/q has pre-releases only; name one, ns/q@0.1.0-alpha.2");
}

TEST_F(StoreTest, a_manifest_may_begin_with_a_byte_order_mark) {
  put("u", "saved by an editor", "\xEF\xBB\xBF" + manifest("ns/p", "1.0.0"));
  EXPECT_TRUE(files_->find("u", {"ns", "p", {}}).ok());
}

TEST_F(StoreTest, a_hash_has_the_names_that_each_owner_gave_it) {
  const std::string hash = put("u", "wasm", manifest("ns/p", "1.0.0"));
  put("u", "wasm", manifest("ns/p", "1.0.1"));
  put("u", "other", manifest("ns/q", "1.0.0"));
  put("v", "wasm", manifest("ns/r", "1.0.0"));
  put("w", "wasm", std::nullopt);
  const auto names = [&](const std::string& owner) {
    std::set<std::string> texts;
    const auto found = files_->names_of(owner, hash);
    for (const auto& one : *found) {
      EXPECT_EQ(one.hash, hash);
      EXPECT_EQ(one.manifest, manifest(one.name.ns + "/" + one.name.name, *one.name.version));
      texts.insert(one.name.text());
    }
    return texts;
  };
  EXPECT_EQ(names("u"), (std::set<std::string>{"ns/p@1.0.0", "ns/p@1.0.1"}));
  EXPECT_EQ(names("v"), (std::set<std::string>{"ns/r@1.0.0"}));
  EXPECT_EQ(names("w"), (std::set<std::string>{}));
}

TEST_F(StoreTest, a_bad_manifest_leaves_nothing_behind) {
  const std::string hash = crypto::blake3_hex("x");
  const auto done = files_->put(upload("u", "x", "[package"));
  EXPECT_EQ(done.error().message.rfind("Failed to parse manifest: ", 0), 0u);
  EXPECT_FALSE(*files_->has(hash));
}

TEST_F(StoreTest, a_users_programs_and_manifests_are_bounded_together) {
  const auto keep = [&](const std::string& user, const std::string& wasm,
                        const std::optional<std::string>& text) {
    return files_->put(upload(user, wasm, text, 20'000));
  };
  ASSERT_TRUE(keep("u", std::string(8'000, 'a'), std::nullopt).ok());            // 8 KiB
  ASSERT_TRUE(keep("u", std::string(8'000, 'a'), manifest("p", "1.0.0")).ok());  // and 4
  ASSERT_TRUE(keep("u", std::string(8'000, 'a'), manifest("p", "1.0.0")).ok());  // the same again
  const auto refused = keep("u", std::string(8'000, 'b'), std::nullopt);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  EXPECT_NE(refused.error().message.find("got programs of u of 20480 bytes together, expected at "
                                         "most 20000"),
            std::string::npos)
      << refused.error().message;
  EXPECT_FALSE(*files_->has(crypto::blake3_hex(std::string(8'000, 'b'))));
  EXPECT_TRUE(keep("other", std::string(8'000, 'b'), std::nullopt).ok());
  // Somebody else's upload of the same bytes does not make them free.
  EXPECT_FALSE(keep("u", std::string(8'000, 'b'), std::nullopt).ok());
  EXPECT_FALSE(keep("u", "c", manifest("q", "1.0.0") + std::string(8'000, '#')).ok());
  EXPECT_TRUE(keep("u", "c", std::nullopt).ok());
}

TEST_F(StoreTest, files_of_programs_that_nobody_uploaded_are_removed_at_start) {
  const std::string hash = put("u", "bytes");
  const fs::path folder = home_ / "programs";
  std::ofstream(folder / (std::string(64, '0') + ".wasm")) << "written, and then the power failed";
  std::ofstream(folder / (hash + ".wasm.tmp1-2")) << "half of";
  reopen();
  EXPECT_EQ(*read_all(**files_->wasm(hash)), "bytes");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), fs::directory_iterator()), 1);
}

TEST_F(StoreTest, key_value_pairs_are_per_user_hold_any_byte_and_persist) {
  const std::string value("a\0b", 3);
  ASSERT_TRUE(set("u", "key", value).ok());
  ASSERT_TRUE(set("u", "another", "").ok());
  reopen();
  EXPECT_EQ(*get("u", "key"), value);
  EXPECT_EQ(*get("u", "another"), "");
  EXPECT_EQ(*get("other", "key"), std::nullopt);
  ASSERT_TRUE(remove("u", "key").ok());
  EXPECT_EQ(*get("u", "key"), std::nullopt);
}

TEST_F(StoreTest, keys_come_in_order_behind_a_key) {
  for (const char* key : {"key", "another"}) ASSERT_TRUE(set("u", key, "").ok());
  KeyValueTable table(std::move(Database::open(home_ / "pie.db")).value());
  const auto keys = [&](std::optional<std::string> after, uint32_t count_max) {
    return *table.list_keys("u", after, count_max);
  };
  EXPECT_EQ(keys(std::nullopt, 10), (std::vector<std::string>{"another", "key"}));
  EXPECT_EQ(keys(std::nullopt, 1), std::vector<std::string>{"another"});
  EXPECT_EQ(keys("another", 10), std::vector<std::string>{"key"});
  EXPECT_EQ(keys("key", 10), std::vector<std::string>{});
}

TEST_F(StoreTest, pairs_of_one_user_have_a_bound_over_restarts) {
  constexpr uint64_t kMax = 1000;
  reopen(kMax);
  const auto set_bytes = [&](const std::string& user, const std::string& key, size_t bytes) {
    return set(user, key, std::string(bytes, 'x'));
  };
  ASSERT_TRUE(set_bytes("u", "a", 400).ok());
  ASSERT_TRUE(set_bytes("u", "b", 470).ok());  // 1,000 with 64 for each pair
  const auto refused = set_bytes("u", "c", 0);
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  EXPECT_NE(refused.error().message.find("1065 bytes"), std::string::npos);
  EXPECT_FALSE(set_bytes("u", "b", 471).ok());
  EXPECT_EQ((*get("u", "b"))->size(), 470U) << "what was there stays";
  EXPECT_TRUE(set_bytes("other", "c", 0).ok());
  reopen(kMax);
  EXPECT_FALSE(set_bytes("u", "c", 0).ok());
  EXPECT_TRUE(set_bytes("u", "b", 405).ok()) << "what is replaced does not count";
  EXPECT_TRUE(set_bytes("u", "c", 0).ok());
  ASSERT_TRUE(remove("u", "a").ok());
  EXPECT_TRUE(set_bytes("u", "d", 400).ok());
  EXPECT_FALSE(set_bytes("u", "e", 0).ok());
}

TEST_F(StoreTest, instances_come_back_with_their_arguments_and_state) {
  InstanceRecord record{"id-1", "u", "std/echo@1.0.0", "hash", {"a", "", "5:x"}, true, 42, {}};
  ASSERT_TRUE(add(record).ok());
  store_->instances().finished("u", "id-1", 77);
  reopen();
  const auto all = store_->instances().recover();
  ASSERT_EQ(all->size(), 1u);
  EXPECT_EQ(all->front().record.arguments, record.arguments);
  EXPECT_EQ(all->front().record.finished_ns, 77u);
  EXPECT_TRUE(all->front().record.detached);
  EXPECT_TRUE(all->front().log->records.empty());
  store_->instances().remove("u", "id-1");
  reopen();
  EXPECT_TRUE(store_->instances().recover()->empty());
  record.arguments = {"first", std::string(10 << 20, 'x'), "last"};
  ASSERT_TRUE(add(record).ok());
  const auto long_one = std::move(store_->instances().recover()->front().record);
  EXPECT_EQ(long_one.arguments.size(), 2u);
  EXPECT_EQ(long_one.arguments[0], "first");
  EXPECT_LT(long_one.arguments[1].size(), 70'000u);
  EXPECT_GE(long_one.arguments_bytes, 10u << 20);
}

TEST_F(StoreTest, a_log_is_written_read_and_recovered_by_callback) {
  ASSERT_TRUE(add({"id-1", "u", "p", "hash", {}, true, 42, {}}).ok());
  auto log = store_->instances().new_log("u", "id-1");
  const auto event = [](uint64_t seq, EventKind kind, const std::string& payload) {
    return LogWork::Append{{.seq = seq, .kind = kind},
                           std::make_shared<const std::string>(payload)};
  };
  const auto perform = [&](LogWork work) {
    return wait<LogWorkDone>([&](auto done) { log->perform(std::move(work), std::move(done)); });
  };
  LogWork work;
  work.append = {event(1, EventKind::kMessage, "one"), event(2, EventKind::kMessage, "two"),
                 event(3, EventKind::kEnd, "")};
  const LogWorkDone written = perform(work);
  ASSERT_EQ(written.offsets.size(), 3u);
  EXPECT_FALSE(written.append_failed);
  work = {};
  work.delivered = 1;
  work.read = {{.seq = 2, .payload_offset = written.offsets[1], .payload_bytes = 3}};
  const LogWorkDone read = perform(work);
  ASSERT_EQ(read.read.size(), 1u);
  EXPECT_EQ(*read.read[0], "two");
  log = nullptr;
  reopen();
  const auto all = store_->instances().recover();
  const StoredLog& stored = *all->front().log;
  ASSERT_EQ(stored.records.size(), 2u);
  EXPECT_EQ(stored.records[0].seq, 2u);
  EXPECT_EQ(stored.records[1].kind, EventKind::kEnd);
  EXPECT_EQ(stored.last_seq, 3u);
  EXPECT_FALSE(stored.is_end_delivered);
}

TEST_F(StoreTest, after_a_stop_everything_is_refused_and_still_answered) {
  auto log = store_->instances().new_log("u", "id-1");
  store_->stop();
  EXPECT_EQ(set("u", "key", "").error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(add({"id-1", "u", "p", "hash", {}, true, 42, {}}).error().code,
            ErrorCode::kUnavailable);
  const auto refused =
      wait<LogWorkDone>([&](auto done) { log->perform(LogWork{}, std::move(done)); });
  EXPECT_EQ(refused.append_failed->code, ErrorCode::kUnavailable);
}

TEST_F(StoreTest, a_damaged_database_is_named_and_the_error_says_what_to_do) {
  store_.reset();
  for (const char* file : {"pie.db", "pie.db-wal", "pie.db-shm"}) fs::remove(home_ / file);
  std::ofstream(home_ / "pie.db") << std::string(8192, 'x');
  const auto opened = open();
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(opened.error().message.find((home_ / "pie.db").string()), std::string::npos);
  EXPECT_NE(opened.error().message.find("move it away"), std::string::npos);
}

TEST_F(StoreTest, a_newer_schema_is_refused) {
  store_.reset();
  auto database = Database::open(home_ / "pie.db");
  ASSERT_TRUE((*database)
                  ->write(Durability::kDisk,
                          [](Database& db) { return db.execute("PRAGMA user_version=999"); })
                  .ok());
  database->reset();
  const auto opened = open();
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_NE(opened.error().message.find("999"), std::string::npos);
}

TEST_F(StoreTest, a_log_keeps_what_was_not_delivered) {
  const fs::path file = home_ / "instances" / "i.log";
  {
    const auto log = InstanceLogFile::create(file);
    ASSERT_TRUE(log->append(message(1), "one").ok());
    ASSERT_TRUE(log->append(message(2), "two").ok());
    ASSERT_TRUE(
        log->append({.seq = 3, .kind = EventKind::kEnd, .end = EndKind::kAborted}, "").ok());
    ASSERT_TRUE(log->mark_delivered(1).ok());
  }
  const auto log = InstanceLogFile::open(file);
  ASSERT_EQ((*log)->records().size(), 2u);
  const EventRecord& two = (*log)->records()[0];
  EXPECT_EQ(*(*log)->read(two.payload_offset, two.payload_bytes), "two");
  EXPECT_EQ((*log)->records()[1].end, EndKind::kAborted);
  EXPECT_EQ((*log)->last_seq(), 3u);
}

TEST_F(StoreTest, a_log_cut_at_any_byte_opens_with_the_whole_events_and_goes_on) {
  const fs::path file = home_ / "instances" / "cut.log";
  {
    auto log = InstanceLogFile::open(file);
    ASSERT_TRUE((*log)->append(message(1), "first").ok());
    ASSERT_TRUE((*log)->append(message(2), "second").ok());
  }
  const std::string whole = *read_file(file);
  const size_t first_bytes = whole.size() / 2;  // headers of 24 bytes, payloads of 5 and 6
  for (size_t cut = 0; cut <= whole.size(); ++cut) {
    std::ofstream(file, std::ios::binary | std::ios::trunc) << whole.substr(0, cut);
    auto log = InstanceLogFile::open(file);
    ASSERT_TRUE(log.ok()) << cut;
    EXPECT_EQ((*log)->records().size(), cut == whole.size()  ? 2u
                                        : cut >= first_bytes ? 1u
                                                             : 0u)
        << cut;
    ASSERT_TRUE((*log)->append(message(9), "after").ok());
    const auto again = InstanceLogFile::open(file);
    const EventRecord& last = (*again)->records().back();
    EXPECT_EQ(*(*again)->read(last.payload_offset, last.payload_bytes), "after") << cut;
  }
}

TEST_F(StoreTest, a_large_log_shrinks_once_everything_in_it_was_delivered) {
  const fs::path file = home_ / "instances" / "large.log";
  auto log = InstanceLogFile::open(file);
  ASSERT_TRUE((*log)->append({.seq = 1, .kind = EventKind::kBlob}, std::string(2 << 20, 'b')).ok());
  ASSERT_TRUE((*log)->mark_delivered(1).ok());
  EXPECT_LT(fs::file_size(file), 1'000u);
  const auto offset = (*log)->append(message(2), "next");
  EXPECT_EQ(*(*log)->read(*offset, 4), "next");
  EXPECT_EQ((*InstanceLogFile::open(file))->records().size(), 1u);
}

TEST_F(StoreTest, a_log_that_rests_has_no_descriptor_and_goes_on) {
  const auto open_files = [] {
    return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
  };
  const auto before = open_files();
  std::vector<std::unique_ptr<InstanceLogFile>> logs;
  for (int i = 0; i < 50; ++i) {
    logs.push_back(
        InstanceLogFile::create(home_ / "instances" / ("i" + std::to_string(i) + ".log")));
    ASSERT_TRUE(logs.back()->append(message(1), "one").ok());
    logs.back()->release();
  }
  EXPECT_EQ(open_files(), before);
  const auto offset = logs[7]->append(message(2), "two");
  logs[7]->release();
  EXPECT_EQ(*logs[7]->read(*offset, 3), "two");
  ASSERT_TRUE(logs[7]->mark_delivered(1).ok());
  EXPECT_EQ((*InstanceLogFile::open(home_ / "instances" / "i7.log"))->records().size(), 1u);
}

TEST_F(StoreTest, out_of_descriptors_a_program_is_not_taken_for_absent) {
  const fs::path folder = home_ / "root" / "std" / "p";
  fs::create_directories(folder);
  ASSERT_TRUE(write_file_atomically(folder / "1.0.0.wasm", "wasm").ok());
  Registry registry({home_ / "root"});
  const std::string hash = put("u", "wasm");
  const fs::path file = home_ / "instances" / "i.log";
  const auto log = std::move(InstanceLogFile::open(file)).value();
  rlimit files{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &files), 0);
  const rlimit none{0, files.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const std::vector<Error> refusals = {registry.find(*ProgramName::parse("p")).error(),
                                       registry.find(*ProgramName::parse("p@1.0.0")).error(),
                                       registry.wasm(std::string(64, 'b')).error(),
                                       registry.find_hash(std::string(64, 'b')).error(),
                                       read_all(**files_->wasm(hash)).error(),
                                       files_->put(upload("u", "other wasm", std::nullopt)).error(),
                                       log->append(message(1), "").error(),
                                       InstanceLogFile::open(file).error()};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &files), 0);
  for (const Error& one : refusals) {
    EXPECT_EQ(one.code, ErrorCode::kResourceExhausted) << one.message;
    EXPECT_NE(one.message.find("Too many open files"), std::string::npos) << one.message;
  }
  EXPECT_TRUE(registry.find(*ProgramName::parse("p")).ok());
}

TEST_F(StoreTest, the_registry_finds_names_and_newest_versions_over_its_roots) {
  const fs::path first = home_ / "r1" / "std" / "p";
  const fs::path second = home_ / "r2" / "std" / "p";
  fs::create_directories(first), fs::create_directories(second);
  std::ofstream(first / "0.1.0.wasm") << "one";
  std::ofstream(first / "0.1.0.toml") << "manifest of one";
  std::ofstream(second / "0.2.0.wasm") << "two";
  Registry registry({home_ / "r1", home_ / "r2", home_ / "absent"});
  const auto newest = registry.find({"std", "p", {}});
  EXPECT_EQ(newest->hash, crypto::blake3_hex("one"));
  EXPECT_EQ(newest->manifest, "manifest of one");
  EXPECT_EQ(registry.find({"std", "p", "0.2.0"})->hash, crypto::blake3_hex("two"));
  EXPECT_EQ(*read_all(**registry.wasm(newest->hash)), "one");
  EXPECT_EQ(registry.find_hash(newest->hash)->name.text(), "std/p@0.1.0");
  EXPECT_EQ(registry.find_hash(newest->hash)->manifest, "manifest of one");
  EXPECT_EQ(registry.find_hash(crypto::blake3_hex("none")).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(registry.find({"std", "none", {}}).error().message, "Program not found");
  std::ofstream(first / "0.1.1.wasm") << "newer";
  EXPECT_EQ(registry.find({"std", "p", {}})->hash, crypto::blake3_hex("newer"));
  std::ofstream(first / "0.2.0-rc.1.wasm") << "candidate";
  EXPECT_EQ(registry.find({"std", "p", {}})->hash, crypto::blake3_hex("newer"));
  EXPECT_EQ(registry.find({"std", "p", "0.2.0-rc.1"})->hash, crypto::blake3_hex("candidate"));
}

TEST_F(StoreTest, the_registry_has_archives_beside_components) {
  const fs::path folder = home_ / "r" / "std" / "p";
  fs::create_directories(folder);
  std::ofstream(folder / "0.1.0.wasm") << "component";
  std::ofstream(folder / "0.2.0.zip") << "archive";
  std::ofstream(folder / "0.2.0.toml") << "its manifest";
  std::ofstream(folder / "0.3.0.txt") << "neither";
  Registry registry({home_ / "r"});
  const auto newest = registry.find({"std", "p", {}});
  EXPECT_EQ(newest->name.text(), "std/p@0.2.0");
  EXPECT_EQ(newest->manifest, "its manifest");
  EXPECT_EQ(*read_all(**registry.wasm(newest->hash)), "archive");
  EXPECT_EQ(Registry({home_ / "r"}).find_hash(newest->hash)->name.text(), "std/p@0.2.0");
  EXPECT_EQ(registry.find({"std", "p", "0.1.0"})->hash, crypto::blake3_hex("component"));
}

TEST(ProgramName, takes_names_and_refuses_paths) {
  EXPECT_EQ(*ProgramName::parse("p"), (ProgramName{"std", "p", {}}));
  EXPECT_EQ(*ProgramName::parse("ns/p@1.2"), (ProgramName{"ns", "p", "1.2"}));
  for (const char* bad : {"", "/", "a/", "/b", "..", "../x", "a/../b", "a/b/c", "a b", "a@", "a@x",
                          "a@1/2", "a\n", ".hidden", "a@../1"})
    EXPECT_FALSE(ProgramName::parse(bad).ok()) << bad;
}

TEST(Version, orders_as_semver_says) {
  const char* ascending[] = {"0.9",     "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta",
                             "1.0.0-2", "1.0.0"};
  EXPECT_LT(*Version::parse("0.9"), *Version::parse("0.10"));
  for (int i = 1; i < 4; ++i)
    EXPECT_LT(*Version::parse(ascending[i - 1]), *Version::parse(ascending[i]));
  EXPECT_LT(*Version::parse("1.0.0-2"), *Version::parse("1.0.0-alpha"));
  EXPECT_LT(*Version::parse("1.0.0-rc.1"), *Version::parse("1.0.0"));
  EXPECT_EQ(*Version::parse("1.0.0+a"), *Version::parse("1.0.0+b"));
}

TEST(Manifest, reads_every_field_and_names_what_is_wrong) {
  const auto manifest = parse_manifest(R"([package]
name = "ns/p"
version = "1.2.3"
description = "d"
authors = ["a", "b"]
keywords = ["k"]
dependencies = ["std/echo@1.0", "other/x"]
[engine]
min_version = "0.1.0"
[interface]
inputs = [{ name = "prompt", type = "string", optional = true, description = "what to say" }]
)");
  ASSERT_TRUE(manifest.ok()) << manifest.error().message;
  EXPECT_EQ(manifest->name.text(), "ns/p@1.2.3");
  EXPECT_EQ(manifest->dependencies.size(), 2u);
  EXPECT_EQ(manifest->engine_min_version, "0.1.0");
  EXPECT_TRUE(manifest->inputs.at(0).optional);
  for (const char* bad :
       {"", "x", "[package]", "[package]\nname=1\nversion='1'",
        "[package]\nname='a/b/c'\nversion='1'", "[package]\nname='a'",
        "[package]\nname='a'\nversion='x'", "[package]\nname='a'\nversion='1'\nauthors=[1]"})
    EXPECT_EQ(parse_manifest(bad).error().message.rfind("Failed to parse manifest: ", 0), 0u)
        << bad;
}

}  // namespace
}  // namespace pie::store
