#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <thread>

namespace pie {
namespace {

TEST(ThreadPoolTest, parts_cover_the_whole_once) {
  for (const uint32_t size : {1U, 2U, 5U}) {
    ThreadPool pool(size);
    for (const uint32_t total : {0U, 1U, 4U, 97U}) {
      std::vector<uint32_t> shared(total), taken(total);
      pool.run(size, [&](Team& team) {
        const auto [begin, end] = team.share(total);
        for (uint32_t i = begin; i < end; ++i) ++shared[i];
        team.meet();
        for (;;) {
          const auto [first, last] = team.take(total, 3);
          if (first == last) break;
          for (uint32_t i = first; i < last; ++i) ++taken[i];
        }
      });
      EXPECT_EQ(shared, std::vector<uint32_t>(total, 1));
      EXPECT_EQ(taken, std::vector<uint32_t>(total, 1));
    }
  }
}

TEST(ThreadPoolTest, near_parts_cover_the_whole_once_however_slow_one_thread_is) {
  for (const uint32_t size : {1U, 2U, 5U}) {
    ThreadPool pool(size);
    std::vector<uint32_t> taken(97);
    for (uint32_t round = 0; round < 300; ++round) {
      const uint32_t total = round % 98;
      pool.run(round % size + 1, [&](Team& team) {
        if (round % 3 == team.index()) std::this_thread::yield();
        for (uint32_t pass = 0; pass < 2; ++pass) {
          for (;;) {
            const auto [first, last] = team.take_near(total, round % 7 + 1);
            if (first == last) break;
            for (uint32_t i = first; i < last; ++i) ++taken[i];
          }
          team.meet();
        }
      });
      for (uint32_t i = 0; i < 97; ++i) ASSERT_EQ(taken[i], i < total ? 2U : 0U) << i;
      std::fill(taken.begin(), taken.end(), 0U);
    }
  }
}

TEST(ThreadPoolTest, who_is_ready_takes_the_parts_of_who_is_not) {
  ThreadPool pool(2);
  std::vector<uint32_t> by_thread(2);
  pool.run(2, [&](Team& team) {
    // The second one gets there when nothing is left.
    while (team.index() == 0) {
      const auto [first, last] = team.take_near(50, 3);
      if (first == last) break;
      by_thread[0] += last - first;
    }
    team.meet();
    if (team.index() == 1) by_thread[1] = team.take_near(50, 3).second - 1;
  });
  EXPECT_EQ(by_thread[0], 50U);
  EXPECT_EQ(by_thread[1], 27U) << "a new round begins with one's own part";
}

/// Each round reads what the others wrote in the round before: wrong sums (and a report of
/// ThreadSanitizer) when a meeting lets somebody through too early.
TEST(ThreadPoolTest, a_meeting_separates_rounds) {
  constexpr uint32_t kThreads = 4;
  constexpr uint64_t kRounds = 2000;
  ThreadPool pool(kThreads);
  std::vector<uint64_t> now(kThreads, 1), next(kThreads);
  pool.run(kThreads, [&](Team& team) {
    for (uint64_t round = 0; round < kRounds; ++round) {
      next[team.index()] =
          std::accumulate(now.begin(), now.end(), uint64_t{0}) % 1000003 + team.index();
      team.meet();
      now[team.index()] = next[team.index()];
      team.meet();
    }
  });
  std::vector<uint64_t> expected(kThreads, 1);
  for (uint64_t round = 0; round < kRounds; ++round) {
    const uint64_t sum = std::accumulate(expected.begin(), expected.end(), uint64_t{0}) % 1000003;
    for (uint32_t i = 0; i < kThreads; ++i) expected[i] = sum + i;
  }
  EXPECT_EQ(now, expected);
}

TEST(ThreadPoolTest, jobs_follow_each_other_on_any_number_of_threads) {
  ThreadPool pool(3);
  std::vector<uint32_t> counts(3);
  for (uint32_t job = 0; job < 3000; ++job) {
    const uint32_t count = job % 3 + 1;
    pool.run(count, [&](Team& team) {
      EXPECT_EQ(team.count(), count);
      ++counts[team.index()];
    });
  }
  EXPECT_EQ(counts, (std::vector<uint32_t>{3000, 2000, 1000}));
}

TEST(ThreadPoolTest, each_task_runs_once) {
  ThreadPool pool(2);
  for (const uint32_t total : {0U, 1U, 2U, 65U}) {
    std::vector<uint32_t> runs(total);
    pool.for_each(2, total, [&](uint32_t thread, uint32_t i) {
      EXPECT_LT(thread, 2U);
      ++runs[i];
    });
    EXPECT_EQ(runs, std::vector<uint32_t>(total, 1));
  }
}

}  // namespace
}  // namespace pie
