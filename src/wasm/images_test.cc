// Linear memories begin as images of their program that are shared until they are written.
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "wasm/test_runtime.h"

namespace pie::wasm {
namespace {

/// Of this process, in KiB.
uint64_t private_dirty_kib() {
  std::ifstream file("/proc/self/smaps_rollup");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("Private_Dirty:")) return std::stoull(line.substr(14));
  return 0;
}

TEST_F(RuntimeTest, an_instance_writes_to_its_own_copy_of_the_programs_data) {
  // The first run changes the data, the next finds it as the program has it.
  const auto component = compile(standalone(R"((memory (export "memory") 2)
    (data (i32.const 70000) "\2a")
    (func (export "run") (result i32)
      (if (i32.ne (i32.load8_u (i32.const 70000)) (i32.const 42)) (then unreachable))
      (i32.store8 (i32.const 70000) (i32.const 7))
      (if (i32.ne (i32.load8_u (i32.const 70000)) (i32.const 7)) (then unreachable))
      (i32.store8 (i32.const 256) (i32.const 0)) (i32.const 256)))"));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(launch(component).ending.wait().kind, Kind::kOk);
}

TEST_F(RuntimeTest, instances_that_wait_share_their_programs_data) {
  constexpr int kInstances = 20;
  constexpr uint64_t kDataBytes = 4 << 20;
  std::string wat =
      with_things("(func (export \"run\") (result i32) (call $block (call $event)) (call $ok))");
  wat.insert(std::string("(component").size(),
             joined({" (core module $large (memory 64) (data (i32.const 0) \"",
                     std::string(kDataBytes, 'x'), "\")) (core instance (instantiate $large))"}));
  const auto component = compile(wat);
  std::atomic<int> blocked{0};
  const uint64_t before = private_dirty_kib();
  ASSERT_GT(before, 0U);
  std::vector<Running> running;
  for (int i = 0; i < kInstances; ++i) running.push_back(launch(component, {}, [&] { ++blocked; }));
  ASSERT_TRUE(eventually([&] { return blocked == kInstances; }));
  EXPECT_LT(private_dirty_kib(), before + 2 * kDataBytes / 1024) << "copied for each instance";
  event_->fire();
  for (auto& one : running) EXPECT_EQ(one.ending.wait().kind, Kind::kOk);
}

TEST_F(RuntimeTest, a_program_of_gaps_is_no_large_image) {
  // Two bytes, almost 4 GiB apart: an image of them would be as large.
  const std::string wat = standalone(R"((memory (export "memory") 65000)
    (data (i32.const 16) "a") (data (i32.const -44967296) "b")
    (func (export "run") (result i32)
      (if (i32.ne (i32.load8_u (i32.const -44967296)) (i32.const 98)) (then unreachable))
      (i32.store8 (i32.const 256) (i32.const 0)) (i32.const 256)))");
  EXPECT_EQ(run(wat, {.memory_bytes_max = 5ULL << 30}).kind, Kind::kOk);
  uint64_t bytes = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder_.path()))
    bytes += file.file_size();
  EXPECT_GT(bytes, 0U);
  EXPECT_LT(bytes, 1U << 20);
}

}  // namespace
}  // namespace pie::wasm
