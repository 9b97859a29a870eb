#include "instance/life_cycle.h"

#include <gtest/gtest.h>

namespace pie::instance {
namespace {

TEST(LifeCycle, an_attached_launch_is_aborted_after_the_grace_time_without_its_client) {
  LifeCycle life(LaunchMode::kAttached, {.grace_ns = 100, .finished_kept_ns = 1'000});
  EXPECT_EQ(life.status(), Status::kAttached);
  EXPECT_EQ(life.due(5'000), LifeCycle::Due::kNothing);
  life.client_lost(5'000);
  EXPECT_EQ(life.status(), Status::kDetached);
  EXPECT_EQ(life.due(5'099), LifeCycle::Due::kNothing);
  EXPECT_EQ(life.due(5'100), LifeCycle::Due::kAbort);
  life.client_attached();
  EXPECT_EQ(life.due(9'000), LifeCycle::Due::kNothing);
}

TEST(LifeCycle, a_detached_one_runs_alone_and_its_end_is_kept_for_its_time) {
  LifeCycle life(LaunchMode::kDetached, {.grace_ns = 100, .finished_kept_ns = 1'000});
  EXPECT_EQ(life.status(), Status::kDetached);
  EXPECT_EQ(life.due(50'000), LifeCycle::Due::kNothing);
  life.ended(50'000);
  EXPECT_EQ(life.status(), Status::kFinished);
  EXPECT_EQ(life.due(50'999), LifeCycle::Due::kNothing);
  EXPECT_EQ(life.due(51'000), LifeCycle::Due::kRemove);
}

TEST(LifeCycle, an_end_whose_client_died_while_it_was_sent_is_kept) {
  LifeCycle life(LaunchMode::kAttached, {.grace_ns = 100, .finished_kept_ns = 1'000});
  life.ended(1'000);
  EXPECT_EQ(life.due(90'000), LifeCycle::Due::kNothing);
  life.client_lost(2'000);
  EXPECT_EQ(life.due(2'999), LifeCycle::Due::kNothing);
  EXPECT_EQ(life.due(3'000), LifeCycle::Due::kRemove);
}

}  // namespace
}  // namespace pie::instance
