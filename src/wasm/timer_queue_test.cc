#include "wasm/timer_queue.h"

#include <gtest/gtest.h>

#include <chrono>
#include <limits>
#include <mutex>
#include <vector>

#include "wasm/test_support.h"

namespace pie::wasm {
namespace {

constexpr uint64_t kMillisecond = 1'000'000;
constexpr uint64_t kHour = 3'600'000'000'000;

TEST(TimerQueueTest, timers_fire_in_order_of_their_time) {
  TimerQueue timers;
  std::mutex mutex;
  std::vector<int> order;
  std::vector<ReadinessRef> events;
  const auto add = [&](uint64_t ns, int name) {
    events.push_back(timers.after(ns));
    events.back()->add_waiter([&, name] {
      std::lock_guard lock(mutex);
      order.push_back(name);
    });
  };
  add(kHour, 4);
  add(60 * kMillisecond, 3);
  add(20 * kMillisecond, 1);
  add(40 * kMillisecond, 2);
  ASSERT_TRUE(eventually([&] {
    std::lock_guard lock(mutex);
    return order.size() == 3;
  }));
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(timers.size(), 1U);
}

TEST(TimerQueueTest, timer_does_not_fire_early) {
  TimerQueue timers;
  const auto start = std::chrono::steady_clock::now();
  const ReadinessRef event = timers.after(10 * kMillisecond);
  ASSERT_TRUE(eventually([&] { return event->ready(); }));
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(10));
}

TEST(TimerQueueTest, no_time_is_ready_at_once) {
  TimerQueue timers;
  EXPECT_TRUE(timers.after(0)->ready());
  EXPECT_EQ(timers.size(), 0U);
}

TEST(TimerQueueTest, dropped_timers_leave_the_heap) {
  TimerQueue timers;
  for (int i = 0; i < 100'000; ++i) timers.after(kHour);
  EXPECT_EQ(timers.size(), 0U);
}

TEST(TimerQueueTest, time_beyond_the_clock_never_fires) {
  TimerQueue timers;
  const ReadinessRef event = timers.after(std::numeric_limits<uint64_t>::max());
  const ReadinessRef soon = timers.after(kMillisecond);
  ASSERT_TRUE(eventually([&] { return soon->ready(); }));
  EXPECT_FALSE(event->ready());
}

TEST(TimerQueueTest, timers_may_outlive_the_queue) {
  ReadinessRef event;
  {
    TimerQueue timers;
    event = timers.after(kHour);
  }
  EXPECT_FALSE(event->ready());
}

TEST(TimerQueueTest, many_threads_make_and_drop_timers) {
  TimerQueue timers;
  std::atomic<int> fired{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        const ReadinessRef event = timers.after(static_cast<uint64_t>(i % 7) * 1000);
        const ReadinessRef other = timers.after(kHour);
        ASSERT_TRUE(eventually([&] { return event->ready(); }));
        ++fired;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(fired, 2000);
  EXPECT_EQ(timers.size(), 0U);
}

}  // namespace
}  // namespace pie::wasm
