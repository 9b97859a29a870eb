#include "instance/log_waiters.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace pie::instance {
namespace {

/// A log that is full until told otherwise.
struct FullLog {
  std::vector<LogWaiters::Wake> wakes;
  std::shared_ptr<LogWaiters> waiters = std::make_shared<LogWaiters>(
      [this](LogWaiters::Wake wake) { wakes.push_back(std::move(wake)); });

  void drained() {
    for (const auto& wake : std::exchange(wakes, {})) wake();
  }
};

TEST(LogWaiters, ten_thousand_requests_that_print_leave_nothing_at_a_full_log) {
  FullLog log;
  int woken = 0;
  for (uint64_t request = 0; request < 10'000; ++request) {
    for (int print = 0; print < 3; ++print) log.waiters->wait(request, [&] { ++woken; });
    log.waiters->forget(request);
  }
  EXPECT_EQ(log.wakes.size(), 1U);
  EXPECT_EQ(log.waiters->count(), 0U);
  log.drained();
  EXPECT_EQ(woken, 0);
}

TEST(LogWaiters, each_who_waits_is_woken_once_each_time) {
  FullLog log;
  int first = 0, second = 0;
  log.waiters->wait(1, [&] { ++first; });
  log.waiters->wait(2, [&] { ++second; });
  log.drained();
  EXPECT_EQ(first, 1);
  EXPECT_EQ(second, 1);
  log.waiters->wait(1, [&] { ++first; });
  EXPECT_EQ(log.wakes.size(), 1U);
  log.drained();
  EXPECT_EQ(first, 2);
  EXPECT_EQ(second, 1);
}

TEST(LogWaiters, a_log_that_takes_something_wakes_at_once) {
  int woken = 0;
  const auto waiters = std::make_shared<LogWaiters>([](const LogWaiters::Wake& wake) { wake(); });
  for (int i = 0; i < 3; ++i) waiters->wait(1, [&] { ++woken; });
  EXPECT_EQ(woken, 3);
}

}  // namespace
}  // namespace pie::instance
