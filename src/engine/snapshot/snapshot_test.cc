// Contexts on disk: over an executor that remembers tokens, through real files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <numeric>
#include <set>

#include "base/file.h"
#include "engine/disk_thread.h"
#include "engine/snapshot/file.h"
#include "engine/snapshot/reader.h"
#include "engine/snapshot/store.h"
#include "engine/snapshot/writer.h"
#include "engine/test_rig.h"

namespace pie::engine {
namespace {

namespace fs = std::filesystem;

constexpr uint32_t kPage = 4;

TokenId next_after(const std::vector<TokenId>& tokens) { return expected_text(tokens, 1)[0]; }

/// Overwrites all that this process has in a swap file; returns whether there was something.
bool damage_swap() {
  bool done = false;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    if (fs::read_symlink(entry.path(), gone).string().find("/swap-") == std::string::npos) continue;
    const std::string nonsense(fs::file_size(entry.path()), '\xAB');
    std::ofstream file(entry.path(), std::ios::binary | std::ios::in | std::ios::out);
    file << nonsense << std::flush;
    done = file.good() && !nonsense.empty();
  }
  return done;
}

/// An engine with snapshots in a folder of the test's.
struct SnapshotTest : testing::Test {
  SnapshotTest() {
    fs::remove_all(folder);
    start();
  }
  ~SnapshotTest() override { fs::remove_all(folder); }

  void start(uint32_t page_size = kPage, uint64_t user_bytes_max = 1 << 20) {
    engine.reset();
    auto executor = std::make_unique<RecallExecutor>(
        exec::ExecutorConfig{.page_count = 32, .page_size = page_size, .step_tokens_max = 64},
        std::make_shared<RecallProbe>());
    engine = LocalEngine::open(nullptr, RecallExecutor::kVocab, RecallExecutor::kEmbedding,
                               std::move(executor),
                               {.seed = 7,
                                .prefix_cache = false,
                                .swap_folder = folder / "swap",
                                .swap_bytes_max = 1 << 16,
                                .snapshot_folder = folder / "snapshots",
                                .snapshot_user_bytes_max = user_bytes_max},
                               system_clock())
                 .value();
  }
  QueueId open(uint64_t instance, const std::string& user = "ann") {
    engine->open_instance(InstanceId{instance}, {.user = user});
    return engine->create_queue(InstanceId{instance});
  }
  enum class Pinned { kNo, kYes };
  Result<void> save(QueueId queue, const std::string& name, const std::vector<uint32_t>& pages,
                    uint32_t last_page_len, const std::vector<TokenId>& tokens,
                    Pinned pinned = Pinned::kNo) {
    Pending<Result<void>> done;
    const Result<void> accepted = engine->save_snapshot(
        queue, {name, pages, last_page_len, tokens, 0, pinned == Pinned::kYes}, done.callback());
    return accepted.ok() ? done.get() : accepted;
  }
  Result<LoadedSnapshot> load(QueueId queue, const std::string& name) {
    Pending<Result<LoadedSnapshot>> done;
    const Result<void> accepted = engine->load_snapshot(queue, name, done.callback());
    if (!accepted.ok()) return accepted.error();
    return done.get();
  }
  /// A context of ten tokens, saved under the name.
  void save_ten(uint64_t instance, const std::string& name, Pinned pinned = Pinned::kNo) {
    const QueueId queue = open(instance);
    Sequence sequence(*engine, queue);
    ASSERT_TRUE(sequence.run(ten).ok());
    const Result<void> saved = save(queue, name, {0, 1, 2}, 2, ten, pinned);
    ASSERT_TRUE(saved.ok()) << saved.error().message;
    close(*engine, InstanceId{instance});
  }
  /// The token after what was loaded and `token`.
  Result<ForwardOutput> go_on(QueueId queue, const LoadedSnapshot& loaded, TokenId token) {
    ForwardPass pass;
    pass.inputs = {{.token = token, .position = 10}};
    for (const uint32_t page : loaded.pages) pass.pages.emplace_back(page);
    pass.last_page_len = loaded.last_page_len + 1;
    pass.tokens = {{.index = 0}};
    return submit(*engine, queue, pass).get();
  }

  const fs::path folder = fs::path(testing::TempDir()) / "pie_snapshot_test";
  const std::vector<TokenId> ten = numbers(10, 100);
  std::unique_ptr<Engine> engine;
};

TEST_F(SnapshotTest, a_context_goes_on_where_it_was_saved_also_after_a_restart) {
  save_ten(1, "mine");
  for (int round = 0; round < 2; ++round) {
    const QueueId queue = open(10);
    const LoadedSnapshot loaded = load(queue, "mine").value();
    EXPECT_EQ(loaded.tokens, ten);
    EXPECT_EQ(loaded.last_page_len, 2u);
    EXPECT_EQ(engine->kv_pages_used(InstanceId{10}), 0u) << "not before a pass needs them";
    std::vector<TokenId> longer = ten;
    longer.push_back(7);
    EXPECT_EQ(go_on(queue, loaded, 7)->tokens.at(0), next_after(longer));
    close(*engine, InstanceId{10});
    EXPECT_EQ(engine->stats().kv_pages_used, 0u);
    start();
  }
}

TEST_F(SnapshotTest, what_follows_in_the_queue_is_not_in_it_and_what_was_loaded_can_be_saved) {
  const QueueId queue = open(1);
  Sequence sequence(*engine, queue);
  ASSERT_TRUE(sequence.run(ten).ok());
  Pending<Result<void>> saved;
  ASSERT_TRUE(
      engine->save_snapshot(queue, {"a", {0, 1, 2}, 2, ten, 0, false}, saved.callback()).ok());
  PendingOutput after = submit(*engine, queue, sequence.append({55, 56}));
  EXPECT_TRUE(saved.get().ok());
  EXPECT_TRUE(after.get().ok());
  const QueueId other = open(2);
  const LoadedSnapshot first = load(other, "a").value();
  ASSERT_TRUE(save(other, "b", first.pages, first.last_page_len, first.tokens).ok());
  const LoadedSnapshot second = load(other, "b").value();
  std::vector<TokenId> longer = ten;
  longer.push_back(9);
  EXPECT_EQ(go_on(other, second, 9)->tokens.at(0), next_after(longer));
  EXPECT_EQ(go_on(other, first, 9)->tokens.at(0), next_after(longer)) << "copied, not shared";
}

TEST_F(SnapshotTest, names_are_the_users_own_and_are_listed_and_removed) {
  save_ten(1, "one");
  save_ten(2, "two");
  const QueueId ann = open(5);
  const QueueId bob = open(6, "bob");
  const std::vector<SnapshotInfo> list = engine->list_snapshots(ann).value();
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0].name, "one");
  EXPECT_EQ(list[0].page_count, 3u);
  EXPECT_EQ(list[0].token_count, 10u);
  EXPECT_TRUE(engine->list_snapshots(bob)->empty());
  EXPECT_EQ(load(bob, "one").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(engine->remove_snapshot(bob, "one").error().code, ErrorCode::kNotFound);
  const LoadedSnapshot loaded = load(ann, "one").value();
  EXPECT_TRUE(engine->remove_snapshot(ann, "one").ok());
  EXPECT_EQ(load(ann, "one").error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(go_on(ann, loaded, 1).ok()) << "who has loaded it keeps it";
}

TEST_F(SnapshotTest, damage_and_other_layouts_are_named) {
  save_ten(1, "mine");
  const fs::path file = SnapshotStore(folder / "snapshots", 1 << 20).path("ann", "mine");
  const std::string whole = read_file(file).value();
  const auto message_with = [&](size_t at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    EXPECT_TRUE(write_file_atomically(file, damaged).ok());
    const Result<LoadedSnapshot> loaded = load(open(100 + at), "mine");
    return loaded.ok() ? "loaded" : loaded.error().message;
  };
  EXPECT_NE(message_with(whole.size() - 1).find("other bytes for page 2"), std::string::npos);
  EXPECT_NE(message_with(40).find("a damaged header"), std::string::npos);
  EXPECT_NE(message_with(0).find("another beginning"), std::string::npos);
  ASSERT_TRUE(write_file_atomically(file, whole.substr(0, whole.size() - 1)).ok());
  EXPECT_EQ(load(open(3), "mine").error().code, ErrorCode::kCorrupt);
  ASSERT_TRUE(write_file_atomically(file, whole).ok());
  EXPECT_TRUE(load(open(4), "mine").ok());
  start(8);
  const Result<LoadedSnapshot> other = load(open(5), "mine");
  EXPECT_EQ(other.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_NE(other.error().message.find("another model"), std::string::npos);
}

TEST_F(SnapshotTest, pages_that_the_disk_has_lost_are_not_saved_wherever_they_are_by_then) {
  const std::vector<TokenId> hundred = numbers(100, 0);  // 25 of the 32 pages
  std::vector<uint32_t> all(25);
  std::iota(all.begin(), all.end(), 0U);
  const QueueId queue = open(1);
  Sequence first(*engine, queue);
  ASSERT_TRUE(first.run(hundred).ok());
  engine->instance_blocked(InstanceId{1});
  Sequence second(*engine, open(2));
  ASSERT_TRUE(second.run(hundred).ok());
  ASSERT_TRUE(damage_swap());
  engine->instance_blocked(InstanceId{2});
  const Result<ForwardOutput> lost = first.run({5});
  ASSERT_FALSE(lost.ok());
  EXPECT_THAT(lost.error().message, testing::HasSubstr("the disk did not give back"));
  EXPECT_EQ(save(queue, "in the pool", all, 4, hundred).error().code, ErrorCode::kCorrupt);
  // Stored once more, what stands in them has a right checksum.
  const uint64_t stored = engine->stats().swap_pages_stored;
  engine->instance_blocked(InstanceId{1});
  close(*engine, InstanceId{2});
  Sequence third(*engine, open(3));
  ASSERT_TRUE(third.run(hundred).ok());
  EXPECT_GT(engine->stats().swap_pages_stored, stored);
  EXPECT_EQ(save(queue, "on disk", all, 4, hundred).error().code, ErrorCode::kCorrupt);
  EXPECT_TRUE(engine->list_snapshots(queue)->empty());
}

TEST_F(SnapshotTest, room_is_made_by_the_oldest_that_are_not_pinned) {
  save_ten(1, "pinned", Pinned::kYes);
  const uint64_t bytes = engine->list_snapshots(open(2))->at(0).bytes;
  start(kPage, 3 * bytes);
  save_ten(3, "a");
  save_ten(4, "b");
  save_ten(5, "c");
  std::set<std::string> names;
  const std::vector<SnapshotInfo> list = engine->list_snapshots(open(6)).value();
  for (const SnapshotInfo& one : list) names.insert(one.name);
  EXPECT_EQ(names.size(), 3u);
  EXPECT_TRUE(names.contains("pinned") && names.contains("c"));
  start(kPage, bytes - 1);
  const QueueId queue = open(7);
  Sequence sequence(*engine, queue);
  ASSERT_TRUE(sequence.run(ten).ok());
  EXPECT_EQ(save(queue, "d", {0, 1, 2}, 2, ten).error().code, ErrorCode::kResourceExhausted);
}

TEST_F(SnapshotTest, time_to_live_is_kept_over_a_restart) {
  SnapshotHeader header{.layout = "x", .user = "ann", .name = "old", .page_bytes = 1};
  header.created_s = 1;
  header.expires_s = 2;
  fs::create_directories(folder / "more");
  {
    SnapshotStore store(folder / "more", 1000);
    ASSERT_TRUE(write_file_atomically(store.path("ann", "old"), snapshot_head(header)).ok());
    header.name = "new";
    header.expires_s = UINT64_MAX;
    ASSERT_TRUE(write_file_atomically(store.path("ann", "new"), snapshot_head(header)).ok());
    ASSERT_TRUE(write_file_atomically(folder / "more" / "cut.kv.new", "half").ok());
  }
  SnapshotStore store(folder / "more", 1000);
  ASSERT_EQ(store.list("ann").size(), 1u);
  EXPECT_EQ(store.list("ann")[0].name, "new");
  EXPECT_FALSE(fs::exists(store.path("ann", "old")));
  EXPECT_FALSE(fs::exists(folder / "more" / "cut.kv.new"));
}

TEST_F(SnapshotTest, what_is_removed_is_gone_from_the_disk_at_the_end) {
  save_ten(1, "mine");
  const fs::path file = SnapshotStore(folder / "snapshots", 1 << 20).path("ann", "mine");
  ASSERT_TRUE(fs::exists(file));
  const QueueId queue = open(2);
  EXPECT_TRUE(engine->remove_snapshot(queue, "mine").ok());
  EXPECT_TRUE(engine->list_snapshots(queue)->empty());
  engine.reset();
  EXPECT_FALSE(fs::exists(file));
}

TEST_F(SnapshotTest, what_is_under_way_when_the_engine_stops_is_answered) {
  save_ten(1, "mine");
  for (int round = 0; round < 10; ++round) {
    start();
    const QueueId queue = open(2);
    ASSERT_TRUE(engine->allocate(queue, 0, 1).ok());
    Pending<Result<LoadedSnapshot>> loaded;
    Pending<Result<void>> saved;
    ASSERT_TRUE(engine->load_snapshot(queue, "mine", loaded.callback()).ok());
    ASSERT_TRUE(engine->save_snapshot(queue, {"b", {0}, 1, ten, 0, false}, saved.callback()).ok());
    engine.reset();
    ASSERT_TRUE(loaded.ready() && saved.ready());
    const Result<LoadedSnapshot> load_result = loaded.get();
    EXPECT_TRUE(load_result.ok() || load_result.error().code == ErrorCode::kCancelled);
    const Result<void> save_result = saved.get();
    EXPECT_TRUE(save_result.ok() || save_result.error().code == ErrorCode::kCancelled);
  }
}

TEST_F(SnapshotTest, mistakes_are_named_and_count_nothing) {
  const QueueId queue = open(1);
  ASSERT_TRUE(engine->allocate(queue, 0, 2).ok());
  const auto code = [&](const std::string& name, std::vector<uint32_t> pages, uint32_t last) {
    return save(queue, name, pages, last, {}).error().code;
  };
  EXPECT_EQ(code("", {0}, 1), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code("a", {}, 1), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code("a", {0}, 5), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code("a", {0, 9}, 1), ErrorCode::kInvalidArgument);
  EXPECT_TRUE(save(queue, "empty", {0, 1}, 4, {}).ok()) << "pages that were never written";
  EXPECT_EQ(load(queue, "empty")->pages, (std::vector<uint32_t>{2, 3}));
}

TEST(SnapshotStoreTest, files_that_are_not_finished_count) {
  const fs::path folder = fs::temp_directory_path() / "pie-snapshot-store-test";
  fs::remove_all(folder);
  SnapshotStore store(folder, 100);
  ASSERT_TRUE(store.admit("ann", "one", 60).ok());
  EXPECT_EQ(store.admit("ann", "two", 60).error().code, ErrorCode::kResourceExhausted);
  EXPECT_TRUE(store.admit("ben", "two", 60).ok());
  store.give_up("ann", 60);
  EXPECT_TRUE(store.admit("ann", "two", 60).ok());
  fs::remove_all(folder);
}

TEST(SnapshotWriterTest, pages_are_moved_between_the_pieces_of_a_big_snapshot) {
  const fs::path folder = fs::temp_directory_path() / "pie-page-io-test";
  fs::remove_all(folder);
  RecallExecutor executor({.page_count = 2, .page_size = 1 << 20, .step_tokens_max = 16},
                          std::make_shared<RecallProbe>());
  SnapshotStore store(folder, 1 << 30);
  auto work = std::make_shared<SnapshotWork>();
  work->header = {.layout = executor.layout_id().value(), .user = "ann", .name = "big"};
  work->header.page_bytes = executor.page_bytes();  // 4 MiB
  work->header.pages.assign(20, ContentHash{});
  work->pages.assign(20, {.page = KvPageId{0}});
  work->path = store.path("ann", "big");
  std::promise<void> all_done;
  std::string order;
  const auto add = [&](char what) {
    order += what;
    if (order.size() == 4) all_done.set_value();
  };
  auto reading = std::make_shared<SnapshotReading>();
  reading->path = work->path;
  reading->layout = executor.layout_id().value();
  reading->number = 1;
  reading->done = [&](const Result<void>& opened) { add(opened.ok() ? 'o' : 'x'); };
  DiskThread disk(executor, SwapFile::open(folder, executor.page_bytes()).value(),
                  [&](const PageMoved&) { add('p'); });
  SnapshotWriter writer(disk, store);
  writer.save(work, [&](const Result<void>& saved) {
    add(saved.ok() ? 's' : 'x');
    read_snapshot(disk, reading);
    disk.store({kv::FrameId{0}, KvPageId{1}, {0, 1}});
  });
  disk.store({kv::FrameId{0}, KvPageId{1}, {0, 0}});
  all_done.get_future().get();
  EXPECT_EQ(order, "pspo");
  EXPECT_EQ(reading->header.pages.size(), 20u);
  EXPECT_EQ(store.list("ann").size(), 1u);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace pie::engine
