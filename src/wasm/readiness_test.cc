#include "wasm/readiness.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace pie::wasm {
namespace {

TEST(EventTest, fire_wakes_every_waiter_once) {
  Readiness event;
  int first = 0, second = 0;
  event.add_waiter([&] { ++first; });
  event.add_waiter([&] { ++second; });
  EXPECT_FALSE(event.ready());
  event.fire();
  event.fire();
  EXPECT_TRUE(event.ready());
  EXPECT_EQ(first, 1);
  EXPECT_EQ(second, 1);
}

TEST(EventTest, waiter_of_a_ready_event_is_woken_at_once) {
  Readiness event(Readiness::Start::kReady);
  int woken = 0;
  event.add_waiter([&] { ++woken; });
  EXPECT_EQ(woken, 1);
}

TEST(EventTest, removed_waiter_is_not_woken) {
  Readiness event;
  int woken = 0;
  const uint64_t token = event.add_waiter([&] { ++woken; });
  event.remove_waiter(token);
  event.remove_waiter(token);
  event.fire();
  EXPECT_EQ(woken, 0);
}

TEST(EventTest, reset_makes_it_wait_again) {
  Readiness event(Readiness::Start::kReady);
  event.reset();
  int woken = 0;
  event.add_waiter([&] { ++woken; });
  EXPECT_EQ(woken, 0);
  event.fire();
  EXPECT_EQ(woken, 1);
}

TEST(EventTest, waiter_may_use_the_event) {
  Readiness event;
  int woken = 0;
  event.add_waiter([&] {
    event.reset();
    event.add_waiter([&] { ++woken; });
  });
  event.fire();
  event.fire();
  EXPECT_EQ(woken, 1);
}

TEST(EventTest, no_wake_is_lost_between_threads) {
  for (int round = 0; round < 2000; ++round) {
    Readiness event;
    std::atomic<int> woken{0};
    std::thread firing([&] { event.fire(); });
    event.add_waiter([&] { ++woken; });
    firing.join();
    ASSERT_EQ(woken, 1);
  }
}

}  // namespace
}  // namespace pie::wasm
