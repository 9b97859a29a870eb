#include "base/ledger.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

namespace pie {
namespace {

TEST(LedgerTest, users_have_bounds_of_their_own_and_one_over_all) {
  Ledger ledger({.memory_bytes_max = 60, .host_bytes_max = 60}, {.memory_bytes_max = 100}, 0);
  const auto ann = ledger.of("ann"), bob = ledger.of("bob");
  EXPECT_TRUE(ann->memory.take(60));
  EXPECT_FALSE(ann->memory.take(1));
  EXPECT_EQ(ann->memory.refusal(1),
            "memory of all instances of the user: used 60 bytes and 1 more asked for, allowed 60");
  EXPECT_TRUE(bob->host_memory.take(40));
  EXPECT_FALSE(bob->memory.take(1));  // all of them have 100
  EXPECT_EQ(bob->memory.used(), 0U);
  EXPECT_EQ(
      bob->memory.refusal(1),
      "memory of all users' instances, and what the server holds for them: used 100 bytes and "
      "1 more asked for, allowed 100");
  ann->memory.give_back(60);
  EXPECT_TRUE(bob->memory.take(60));
  EXPECT_FALSE(ann->memory.take(1));
}

TEST(LedgerTest, internal_is_bounded_by_the_sums_alone) {
  Ledger ledger({.memory_bytes_max = 10, .log_bytes_max = 10}, {.memory_bytes_max = 100}, 0);
  const auto internal = ledger.of("internal");
  EXPECT_TRUE(internal->stored_logs.take(1'000));
  EXPECT_TRUE(internal->memory.take(100));
  EXPECT_FALSE(internal->memory.take(1));
}

TEST(LedgerTest, a_new_hour_begins_the_hourly_ones_anew_and_forgets_who_has_nothing) {
  constexpr uint64_t kHourNs = 3'600'000'000'000;
  Ledger ledger({.cpu_s_per_hour_max = 1}, {}, 10 * kHourNs);
  auto ann = ledger.of("ann");
  ann->cpu.add(2'000'000'000);
  EXPECT_TRUE(ann->cpu.would_exceed(1));
  ledger.begin_hour(10 * kHourNs + 1);
  EXPECT_TRUE(ann->cpu.would_exceed(1));
  ledger.begin_hour(11 * kHourNs);
  EXPECT_FALSE(ann->cpu.would_exceed(1));
  EXPECT_EQ(ledger.of("ann"), ann);  // who holds it keeps it
  ann->stored_logs.add(7);
  ann.reset();
  ledger.begin_hour(12 * kHourNs);
  EXPECT_EQ(ledger.of("ann")->stored_logs.used(), 0U);
}

TEST(LedgerTest, names_alone_are_forgotten_and_what_was_spent_is_not) {
  Ledger ledger({.cpu_s_per_hour_max = 1}, {}, 0);
  const std::weak_ptr<UserQuotas> name = ledger.of("nobody");
  ledger.of("spender")->cpu.add(2'000'000'000);
  for (int i = 0; i < 10'000; ++i) ledger.of("name " + std::to_string(i));
  EXPECT_TRUE(name.expired());
  EXPECT_TRUE(ledger.of("spender")->cpu.would_exceed(1));
}

TEST(LedgerTest, a_family_has_what_one_instance_may_have_within_what_its_user_has) {
  Ledger ledger({.memory_bytes_max = 150}, {}, 0);
  const auto user = ledger.of("u");
  const InstanceLimits limits{.memory_bytes_max = 100, .cpu_ns_max = 7};
  const auto one = family_quotas(user, limits), other = family_quotas(user, limits);
  EXPECT_TRUE(one->memory.take(80));
  EXPECT_FALSE(one->memory.take(30));
  EXPECT_NE(one->memory.refusal(30).find("of an instance and its children"), std::string::npos);
  EXPECT_TRUE(other->memory.take(70));
  EXPECT_FALSE(other->memory.take(10));
  EXPECT_NE(other->memory.refusal(10).find("of the user"), std::string::npos);
  EXPECT_EQ(user->memory.used(), 150U);
  one->cpu.add(8);
  EXPECT_TRUE(one->cpu.would_exceed(1));
  EXPECT_FALSE(other->cpu.would_exceed(1));
  EXPECT_EQ(one->user, user);
  EXPECT_TRUE(family_quotas(nullptr, limits)->memory.take(100));
  one->memory.give_back(80);
  other->memory.give_back(70);
  EXPECT_EQ(user->memory.used(), 0U);
}

TEST(HoldingTest, what_is_held_goes_back_once) {
  auto quota = std::make_shared<Quota>("uploads", "bytes", 10);
  {
    Holding one(quota);
    EXPECT_TRUE(one.take(6));
    EXPECT_FALSE(one.take(5));
    Holding other = std::move(one);
    EXPECT_EQ(other.amount(), 6U);
    other.give_back(2);
    EXPECT_EQ(quota->used(), 4U);
    other = Holding(quota);
    Holding nothing;
    EXPECT_TRUE(nothing.take(1'000));
  }
  EXPECT_EQ(quota->used(), 0U);
}

}  // namespace
}  // namespace pie
