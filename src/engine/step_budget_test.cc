#include "engine/step_budget.h"

#include <gtest/gtest.h>

namespace pie::engine {
namespace {

using sched::StepKind;
constexpr uint64_t kMs = 1'000'000;

/// Steps of a machine that takes `base` and `token` for each token, until the budget stays.
uint32_t settled(StepBudget& budget, uint64_t base, uint64_t token) {
  for (int step = 0; step < 40; ++step)
    budget.took(StepKind::kMixed, budget.tokens(), base + token * budget.tokens());
  return budget.tokens();
}

TEST(StepBudget, mixed_steps_come_to_take_what_is_allowed) {
  StepBudget budget(100 * kMs, 512);
  const uint32_t slow = settled(budget, 5 * kMs, 2 * kMs);
  EXPECT_NEAR(slow, 47, 1) << "5 + 47 x 2 ms";
  EXPECT_EQ(settled(budget, 5 * kMs, kMs / 10), 512u) << "all that a step holds takes 56 ms";
  EXPECT_NEAR(settled(budget, 5 * kMs, 2 * kMs), 47, 1);
}

TEST(StepBudget, a_model_whose_decodes_are_slow_takes_twice_as_long_at_most) {
  StepBudget budget(100 * kMs, 512);
  for (int step = 0; step < 100; ++step) budget.took(StepKind::kDecodes, 1, 400 * kMs);
  EXPECT_NEAR(settled(budget, 400 * kMs, 10 * kMs), 40, 1);
}

TEST(StepBudget, a_prompt_alone_tells_what_fits) {
  StepBudget budget(100 * kMs, 512);
  budget.took(StepKind::kLong, 512, 250 * kMs);
  EXPECT_EQ(budget.tokens(), 204u);
  budget.took(StepKind::kLong, 512, 4'000 * kMs);
  EXPECT_EQ(budget.tokens(), 12u);
}

TEST(StepBudget, steps_that_were_not_full_say_nothing_about_more) {
  StepBudget budget(100 * kMs, 512);
  budget.took(StepKind::kMixed, 20, 2 * kMs);
  EXPECT_EQ(budget.tokens(), 64u);
}

TEST(StepBudget, without_a_bound_a_step_is_whole) {
  StepBudget budget(0, 512);
  budget.took(StepKind::kMixed, 512, 100'000 * kMs);
  EXPECT_EQ(budget.tokens(), 512u);
}

}  // namespace
}  // namespace pie::engine
