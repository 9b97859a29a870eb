#include "wasm/fiber_scheduler.h"

#include <gtest/gtest.h>

#include <ctime>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "wasm/test_support.h"
#include "wasm/ticker.h"

namespace pie::wasm {
namespace {

/// A task whose slices are a function.
class FakeTask final : public Task {
 public:
  explicit FakeTask(std::function<Slice()> body) : body_(std::move(body)) {}
  Slice run_slice() override { return body_(); }

 private:
  const std::function<Slice()> body_;
};

std::shared_ptr<Task> make_task(std::function<Task::Slice()> body) {
  return std::make_shared<FakeTask>(std::move(body));
}

/// Uses CPU until told to yield, at most a while.
void compute_until(const std::atomic<uint64_t>& epoch, uint64_t ns_max) {
  const uint64_t start_epoch = epoch;
  timespec start{}, now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
  do clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  while (epoch == start_epoch && static_cast<uint64_t>((now.tv_sec - start.tv_sec) * 1'000'000'000 +
                                                       now.tv_nsec - start.tv_nsec) < ns_max);
}

TEST(SchedulerTest, task_runs_when_woken_and_sleeps_when_blocked) {
  FiberScheduler scheduler(2, {});
  std::atomic<int> slices{0};
  const auto task = make_task([&] { return ++slices, Task::Slice::kBlocked; });
  scheduler.wake(task);
  ASSERT_TRUE(eventually([&] { return slices == 1 && !scheduler.busy(); }));
  scheduler.wake(task);
  EXPECT_TRUE(eventually([&] { return slices == 2; }));
}

TEST(SchedulerTest, wake_while_running_is_not_lost) {
  FiberScheduler scheduler(1, {});
  std::atomic<int> slices{0};
  std::atomic<bool> go{false};
  const auto task = make_task([&] {
    ++slices;
    while (!go) std::this_thread::yield();
    return Task::Slice::kBlocked;
  });
  scheduler.wake(task);
  ASSERT_TRUE(eventually([&] { return slices == 1; }));
  scheduler.wake(task);
  scheduler.wake(task);
  go = true;
  EXPECT_TRUE(eventually([&] { return slices == 2 && !scheduler.busy(); }));
  EXPECT_EQ(slices, 2);
}

TEST(SchedulerTest, task_is_never_run_by_two_workers) {
  FiberScheduler scheduler(4, {});
  std::atomic<int> inside{0}, slices{0};
  std::atomic<bool> overlap{false};
  const auto task = make_task([&] {
    if (++inside > 1) overlap = true;
    --inside;
    ++slices;
    return Task::Slice::kBlocked;
  });
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 5000; ++i) scheduler.wake(task);
    });
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(eventually([&] { return slices > 0; }));
  scheduler.stop();
  EXPECT_FALSE(overlap);
}

TEST(SchedulerTest, done_task_never_runs_again) {
  FiberScheduler scheduler(1, {});
  std::atomic<int> slices{0};
  const auto task = make_task([&] { return ++slices, Task::Slice::kDone; });
  scheduler.wake(task);
  ASSERT_TRUE(eventually([&] { return slices == 1 && !scheduler.busy(); }));
  scheduler.wake(task);
  scheduler.wake_first(task);
  std::atomic<bool> after{false};
  scheduler.wake(make_task([&] { return after = true, Task::Slice::kDone; }));
  ASSERT_TRUE(eventually([&] { return after.load(); }));
  EXPECT_EQ(slices, 1);
}

TEST(SchedulerTest, woken_task_goes_before_hogs_and_preempts_them) {
  std::atomic<uint64_t> epoch{0};
  std::atomic<int> hog_slices{0}, preempted{0}, hog_count{0};
  FiberScheduler scheduler(1, {[&] { ++epoch; }, nullptr});
  std::atomic<bool> stop{false};
  std::vector<std::shared_ptr<Task>> hogs;
  for (int i = 0; i < 20; ++i)
    hogs.push_back(make_task([&, known = false]() mutable {
      if (stop) return Task::Slice::kDone;
      ++hog_slices;
      const uint64_t before = epoch;
      compute_until(epoch, 20'000'000);
      if (epoch != before)
        ++preempted;
      else if (!std::exchange(known, true))
        ++hog_count;
      return Task::Slice::kYielded;
    }));
  for (const auto& hog : hogs) scheduler.wake(hog);
  ASSERT_TRUE(eventually([&] { return hog_count == 20; }));
  std::atomic<int> steps{0}, slices_seen{0};
  const auto interactive = make_task([&] {
    slices_seen = hog_slices.load();
    ++steps;
    return Task::Slice::kBlocked;
  });
  for (int i = 1; i <= 20; ++i) {
    const int slices_before = hog_slices;
    scheduler.wake(interactive);
    ASSERT_TRUE(eventually([&] { return steps == i; }));
    // At most the slice that was beginning, and one of a hog that had waited too long.
    EXPECT_LE(slices_seen - slices_before, 2);
  }
  EXPECT_GT(preempted, 0);
  stop = true;
}

TEST(SchedulerTest, hogs_are_not_starved_by_woken_tasks) {
  FiberScheduler scheduler(1, {});
  std::atomic<int> hog_slices{0};
  std::atomic<bool> stop{false};
  const std::atomic<uint64_t> no_epoch{0};
  const auto hog = make_task([&] {
    ++hog_slices;
    compute_until(no_epoch, 2 * FiberScheduler::kHogNs);
    return stop ? Task::Slice::kDone : Task::Slice::kYielded;
  });
  std::vector<std::shared_ptr<Task>> busy(2);
  for (int i = 0; i < 2; ++i)
    busy[static_cast<size_t>(i)] = make_task([&, i] {
      scheduler.wake(busy[static_cast<size_t>(1 - i)]);
      return stop ? Task::Slice::kDone : Task::Slice::kBlocked;
    });
  scheduler.wake(busy[0]);
  scheduler.wake(hog);
  EXPECT_TRUE(eventually([&] { return hog_slices >= 5; }));
  stop = true;
  EXPECT_TRUE(eventually([&] { return !scheduler.busy(); }));
  scheduler.stop();
}

TEST(SchedulerTest, hog_that_is_to_be_ended_comes_first) {
  FiberScheduler scheduler(1, {});
  std::mutex mutex;
  std::vector<int> order;
  std::atomic<bool> hold{false};
  const std::atomic<uint64_t> no_epoch{0};
  std::atomic<int> started{0};
  std::vector<std::shared_ptr<Task>> hogs;
  for (int i = 0; i < 5; ++i) {
    auto slices = std::make_shared<int>(0);
    hogs.push_back(make_task([&, i, slices] {
      if (++*slices > 1) {
        if (i == 0 && *slices == 2) {
          ++started;
          while (hold) std::this_thread::yield();
        }
        std::lock_guard lock(mutex);
        order.push_back(i);
        return Task::Slice::kDone;
      }
      compute_until(no_epoch, 2 * FiberScheduler::kHogNs);
      return Task::Slice::kYielded;
    }));
  }
  hold = true;
  std::atomic<bool> all_queued{false};
  scheduler.wake(make_task([&] {  // keeps the worker until all are queued
    while (!all_queued) std::this_thread::yield();
    return Task::Slice::kDone;
  }));
  for (const auto& hog : hogs) scheduler.wake(hog);
  all_queued = true;
  ASSERT_TRUE(eventually([&] { return started == 1; }));  // 1 to 4 wait behind it
  scheduler.wake_first(hogs[3]);
  hold = false;
  ASSERT_TRUE(eventually([&] {
    std::lock_guard lock(mutex);
    return order.size() == 5;
  }));
  EXPECT_EQ(order, (std::vector<int>{0, 3, 1, 2, 4}));
}

TEST(SchedulerTest, wakes_after_stop_do_nothing) {
  FiberScheduler scheduler(2, {});
  scheduler.stop();
  std::atomic<int> slices{0};
  scheduler.wake(make_task([&] { return ++slices, Task::Slice::kDone; }));
  EXPECT_EQ(slices, 0);
}

TEST(TickerTest, ticks_while_there_is_work_and_after_a_sleep) {
  std::atomic<uint64_t> ticks{0};
  std::atomic<bool> work{true};
  Ticker ticker(1, [&] { ++ticks; }, [&] { return work.load(); });
  ASSERT_TRUE(eventually([&] { return ticks > 5; }));
  work = false;
  uint64_t before = 0;
  ASSERT_TRUE(eventually([&] {  // at rest: nothing for longer than its patience
    before = ticks;
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
    return ticks == before;
  }));
  work = true;
  ticker.wake();
  EXPECT_TRUE(eventually([&] { return ticks > before; }));
}

}  // namespace
}  // namespace pie::wasm
