#include "exec/thread_chooser.h"

#include <gtest/gtest.h>

#include <functional>

namespace pie::exec {
namespace {

/// Runs steps whose time is a function of the thread count; returns the time of all.
double simulate(ThreadChooser& chooser, uint32_t rows, int steps,
                const std::function<double(uint32_t)>& seconds) {
  double sum = 0.0;
  for (int i = 0; i < steps; ++i) {
    const uint32_t threads = chooser.choose(rows);
    const double time = seconds(threads);
    chooser.report(rows, threads, time);
    sum += time;
  }
  return sum;
}

double idle(uint32_t threads) { return 0.020 / threads; }
double crowded(uint32_t threads) { return threads == 1 ? 0.030 : 1.0; }

TEST(ThreadChooserTest, all_threads_while_nothing_else_runs) {
  ThreadChooser chooser(2);
  EXPECT_EQ(chooser.choose(1), 2U);
  const double sum = simulate(chooser, 1, 1000, idle);
  EXPECT_LT(sum, 1000 * idle(2) * 1.03) << "trials cost little";
}

TEST(ThreadChooserTest, leaves_spinning_threads_and_comes_back) {
  ThreadChooser chooser(2);
  simulate(chooser, 1, 200, idle);
  const double sum = simulate(chooser, 1, 1000, crowded);
  EXPECT_LT(sum, 1000 * crowded(1) + 8 * crowded(2)) << "few steps were slow ones";
  simulate(chooser, 1, 4096, idle);
  EXPECT_LT(simulate(chooser, 1, 200, idle), 200 * idle(2) * 1.1);
}

TEST(ThreadChooserTest, finds_a_count_between) {
  ThreadChooser chooser(8);
  const auto seconds = [](uint32_t threads) { return threads > 4 ? 0.5 : 0.1 / threads; };
  simulate(chooser, 4, 100, seconds);
  EXPECT_LT(simulate(chooser, 4, 500, seconds), 500 * seconds(4) * 1.2);
}

TEST(ThreadChooserTest, long_steps_take_all_threads) {
  ThreadChooser chooser(2);
  simulate(chooser, 512, 50, crowded);
  EXPECT_EQ(chooser.choose(512), 2U);
  ThreadChooser single(1);
  simulate(single, 1, 50, idle);
  EXPECT_EQ(single.choose(1), 1U);
}

}  // namespace
}  // namespace pie::exec
