#include "server/sizes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pie::server {
namespace {

using testing::HasSubstr;

constexpr uint64_t kMiB = 1 << 20;
/// Like the default model, and like Llama 3.1 8B at 4 bits.
constexpr exec::ExecutorNeeds kSmall{100 * kMiB, 23'040 * 16, 275'000};
constexpr exec::ExecutorNeeds kLarge{4'900 * kMiB, 131'072 * 16, 900'000};

Machine machine_of(uint64_t free_mib, uint64_t total_mib) {
  Machine machine;
  machine.memory = {total_mib * kMiB, "memory.max"};
  machine.memory_free = {free_mib * kMiB, "memory.max"};
  machine.threads = {12, "cores of the affinity mask"};
  return machine;
}

TEST(SizesTest, a_large_machine_gives_half_of_what_the_weights_leave) {
  const auto sizes = choose_sizes(machine_of(250'000, 256'000), {&kLarge, 1}, {}).value();
  EXPECT_EQ(sizes[0].step_tokens, 512);
  EXPECT_NEAR(sizes[0].kv_pages * 16.0, 244'000.0 / 2 * kMiB / 131'072, 10'000)
      << "tokens: no cap whatever the machine has";
}

TEST(SizesTest, models_share) {
  const std::vector<exec::ExecutorNeeds> both{kSmall, kLarge};
  const auto sizes = choose_sizes(machine_of(60'000, 64'000), both, {}).value();
  const double small = static_cast<double>(sizes[0].kv_pages) * kSmall.page;
  const double large = static_cast<double>(sizes[1].kv_pages) * kLarge.page;
  EXPECT_NEAR(small / large, 1.0, 0.01);
  EXPECT_LT(small + large, 60'000.0 * kMiB / 2);
}

TEST(SizesTest, a_small_container_is_not_overcommitted) {
  for (uint64_t mib = 200; mib < 1'000; mib += 20) {
    const auto sizes = choose_sizes(machine_of(mib, mib + 20), {&kSmall, 1}, {});
    if (!sizes.ok()) {
      EXPECT_LT(mib, 240) << sizes.error().message;
      EXPECT_THAT(sizes.error().message, HasSubstr("that this process can take (memory.max)"));
      continue;
    }
    const ModelSizes& one = sizes->at(0);
    const uint64_t steps = one.step_tokens * kSmall.step_token;
    EXPECT_LT(kSmall.weights + steps + one.kv_pages * kSmall.page, mib * kMiB) << mib;
    EXPECT_GE(one.kv_pages, 64);
    EXPECT_GE(one.step_tokens, 32);
  }
  EXPECT_TRUE(choose_sizes(machine_of(240, 260), {&kSmall, 1}, {}).ok());
}

TEST(SizesTest, what_is_set_is_taken_or_refused_with_what_bounds_it) {
  const auto sizes =
      choose_sizes(machine_of(240, 260), {&kSmall, 1}, {.step_tokens = 128, .kv_pages = 100});
  EXPECT_EQ(sizes->at(0).kv_pages, 100);
  EXPECT_EQ(sizes->at(0).step_tokens, 128);
  const auto refused = choose_sizes(machine_of(240, 260), {&kSmall, 1}, {.kv_pages = 1'000});
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  EXPECT_THAT(refused.error().message, HasSubstr("[kv_pages] got 1000 pages = 352 MiB, expected"));
  EXPECT_THAT(refused.error().message, HasSubstr("260 MiB (memory.max) less"));
}

TEST(SizesTest,
     addresses_that_do_not_suffice_for_programs_are_refused_by_the_limit_that_bounds_them) {
  Machine machine = machine_of(900, 16'000);
  EXPECT_TRUE(check_address_space(machine).ok());
  machine.address_space_free = {900 * kMiB, "RLIMIT_AS (ulimit -v)"};
  EXPECT_THAT(
      check_address_space(machine).error().message,
      HasSubstr("got 900 MiB of addresses (RLIMIT_AS (ulimit -v)), expected at least 8192"));
}

TEST(SizesTest, threads_are_the_machines_and_of_programs_at_most_eight) {
  const Machine machine = machine_of(1, 1);
  EXPECT_EQ(choose_model_threads(machine, 0), 12);
  EXPECT_EQ(choose_worker_threads(machine, 0), 8);
  EXPECT_EQ(choose_worker_threads(machine, 20), 20);
}

}  // namespace
}  // namespace pie::server
