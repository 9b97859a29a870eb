// What an upload that was acknowledged leaves on the disk when the power fails: fsync and fdatasync
// are ours in this program (SQLite's calls come here, too), and what they saw is all that a "disk"
// has. Files that nobody synced, and names in folders that nobody synced, are lost.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <string>

#include "base/file.h"
#include "crypto/blake3.h"
#include "store/disk_reserve.h"
#include "store/store.h"
#include "store/waiting.h"

namespace pie::store {
namespace {

namespace fs = std::filesystem;
using Inode = uint64_t;

/// The disk behind one folder, as far as it was synced.
class Disk {
 public:
  explicit Disk(fs::path root) : root_(std::move(root)) {
    const std::lock_guard lock(mutex());
    current() = this;
  }
  ~Disk() {
    const std::lock_guard lock(mutex());
    current() = nullptr;
  }
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;

  static void synced(int fd) {
    const std::lock_guard lock(mutex());
    if (current()) current()->note(fd);
  }

  /// Writes to `target` what a start after a power loss finds.
  void after_power_loss(const fs::path& target) const {
    const std::lock_guard lock(mutex());
    fs::remove_all(target);
    restore(inode_of(root_), target);
  }

 private:
  static std::mutex& mutex() {
    static std::mutex one;
    return one;
  }
  static Disk*& current() {
    static Disk* one = nullptr;
    return one;
  }
  static Inode inode_of(const fs::path& path) {
    struct stat info{};
    return ::stat(path.c_str(), &info) == 0 ? info.st_ino : 0;
  }

  void note(int fd) {
    std::error_code failed;
    const fs::path link = "/proc/self/fd/" + std::to_string(fd);
    const fs::path path = fs::read_symlink(link, failed);
    struct stat info{};
    if (failed || !path.string().starts_with(root_.string()) || ::fstat(fd, &info) != 0) return;
    if (S_ISDIR(info.st_mode)) {
      auto& names = folders_[info.st_ino];
      names.clear();
      for (const auto& entry : fs::directory_iterator(path))
        names[entry.path().filename()] = inode_of(entry.path());
    } else {
      files_[info.st_ino] = *read_file(link);
    }
  }
  void restore(Inode folder, const fs::path& target) const {
    fs::create_directories(target);
    const auto names = folders_.find(folder);
    if (names == folders_.end()) return;
    for (const auto& [name, inode] : names->second) {
      if (fs::is_directory(root_ / name)) restore(inode, target / name);
      if (const auto file = files_.find(inode); file != files_.end())
        std::ofstream(target / name, std::ios::binary) << file->second;
    }
  }

  const fs::path root_;
  std::map<Inode, std::map<fs::path, Inode>> folders_;
  std::map<Inode, std::string> files_;
};

}  // namespace
}  // namespace pie::store

extern "C" int fsync(int fd) {
  pie::store::Disk::synced(fd);
  return static_cast<int>(::syscall(SYS_fsync, fd));
}
extern "C" int fdatasync(int fd) {
  pie::store::Disk::synced(fd);
  return static_cast<int>(::syscall(SYS_fdatasync, fd));
}

namespace pie::store {
namespace {

class PowerLoss : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    root_ = fs::canonical(testing::TempDir()) / ("pie_power_" + std::string(test->name()));
    fs::remove_all(root_);
    fs::create_directories(root_);
    disk_.emplace(root_ / "home");
  }
  void TearDown() override {
    disk_.reset();
    fs::remove_all(root_);
  }
  std::unique_ptr<Store> open(const char* folder) {
    auto opened = Store::open(
        {.home = root_ / folder, .registry_roots = {}, .disk_reserve_bytes = DiskReserve::kNone},
        ledger_);
    EXPECT_TRUE(opened.ok()) << opened.error().message;
    return opened.ok() ? std::move(opened).value() : nullptr;
  }
  /// The store that a start after a power loss opens.
  std::unique_ptr<Store> store_after_power_loss() {
    disk_->after_power_loss(root_ / "after");
    return open("after");
  }

  static bool has_key(Store& store) {
    return wait<Result<std::optional<std::string>>>(
               [&](auto done) { store.key_values().get("u", "key", std::move(done)); })
        ->has_value();
  }

  fs::path root_;
  Ledger ledger_{UserLimits{}, TotalLimits{}, 0};
  std::optional<Disk> disk_;
};

TEST_F(PowerLoss, an_acknowledged_upload_is_there_by_hash_and_by_name) {
  const auto store = open("home");
  for (int i = 0; i < 20; ++i) {
    const std::string wasm = "program " + std::to_string(i);
    const std::string hash = crypto::blake3_hex(wasm);
    const std::string version = "1.0." + std::to_string(i);
    const std::string manifest = "[package]\nname = \"a/p\"\nversion = \"" + version + "\"\n";
    const Result<void> done = wait<Result<void>>([&](auto answer) {
      store->programs().put({"u", hash, make_memory_blob({wasm.begin(), wasm.end()}), manifest, 0},
                            std::move(answer));
    });
    ASSERT_TRUE(done.ok()) << done.error().message;
    const auto after = store_after_power_loss();
    ASSERT_TRUE(after);
    const auto bytes = wait<Result<BlobRef>>(
        [&](auto answer) { after->programs().wasm("u", hash, std::move(answer)); });
    ASSERT_TRUE(bytes.ok()) << bytes.error().message;
    EXPECT_EQ(*read_all(**bytes), wasm);
    const auto named = wait<Result<FoundProgram>>(
        [&](auto answer) { after->programs().find("u", {.text = "a/p"}, std::move(answer)); });
    ASSERT_TRUE(named.ok()) << named.error().message;
    EXPECT_EQ(named->hash, hash);
  }
}

TEST_F(PowerLoss, what_is_not_promised_is_lost_here_so_that_this_disk_is_one_that_forgets) {
  const auto store = open("home");
  const Result<void> done = wait<Result<void>>(
      [&](auto answer) { store->key_values().set("u", "key", "value", std::move(answer)); });
  ASSERT_TRUE(done.ok());  // survives a kill, not a power loss
  EXPECT_TRUE(has_key(*store));
  EXPECT_FALSE(has_key(*store_after_power_loss()));
}

}  // namespace
}  // namespace pie::store
