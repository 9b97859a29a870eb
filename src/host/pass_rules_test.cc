#include "host/pass_rules.h"

#include <gtest/gtest.h>

#include <limits>

namespace pie::host {
namespace {

constexpr uint32_t kVocab = 100;
using sample::LogitRules;

struct PassRulesTest : testing::Test {
  Result<void> forbid(std::vector<uint32_t> indices, uint32_t token) {
    return rules.change(indices, 4, kVocab, [token](LogitRules& one) {
      if (one.allowed.empty()) one.allowed.assign(4, ~0U);
      one.allowed[token / 32] &= ~(1U << (token % 32));
    });
  }
  std::shared_ptr<HostMemory> memory = std::make_shared<HostMemory>(2000);
  PassRules rules{memory};
};

TEST_F(PassRulesTest, indices_of_one_call_share_a_rule_until_one_goes_its_own_way) {
  ASSERT_TRUE(forbid({3, 1, 3}, 7).ok());
  ASSERT_TRUE(forbid({3, 9}, 8).ok());
  const std::vector<engine::RowRules> all = rules.take();
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0].index, 1U);
  EXPECT_FALSE(all[0].rules->allows(7));
  EXPECT_TRUE(all[0].rules->allows(8));
  EXPECT_EQ(all[1].index, 3U);
  EXPECT_FALSE(all[1].rules->allows(7) || all[1].rules->allows(8));
  EXPECT_EQ(all[2].index, 9U);
  EXPECT_TRUE(all[2].rules->allows(7));
  EXPECT_TRUE(rules.take().empty());
}

TEST_F(PassRulesTest, what_is_refused_changes_nothing) {
  ASSERT_TRUE(forbid({1}, 7).ok());
  const uint64_t used = memory->used_bytes();
  const auto everything = rules.change(std::vector<uint32_t>{0, 1}, 4, kVocab,
                                       [](LogitRules& one) { one.allowed.assign(4, 0); });
  EXPECT_EQ(everything.error().code, ErrorCode::kInvalidArgument);
  const auto endless = rules.change(std::vector<uint32_t>{1}, 1, kVocab, [](LogitRules& one) {
    one.bias = {{5, std::numeric_limits<float>::infinity()}};
  });
  EXPECT_EQ(endless.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(memory->used_bytes(), used);
  const std::vector<engine::RowRules> all = rules.take();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_TRUE(all[0].rules->allows(8) && all[0].rules->bias.empty());
}

TEST_F(PassRulesTest, rules_are_charged_until_the_engine_is_done_with_them) {
  ASSERT_TRUE(forbid({1, 2}, 7).ok());
  EXPECT_GT(memory->used_bytes(), 100U);
  std::vector<engine::RowRules> all = rules.take();
  EXPECT_GT(memory->used_bytes(), 100U);
  all.pop_back();
  EXPECT_GT(memory->used_bytes(), 100U) << "the other index has the same rule";
  all.clear();
  EXPECT_EQ(memory->used_bytes(), 0U);
  std::vector<uint32_t> many(100);
  for (uint32_t i = 0; i < many.size(); ++i) many[i] = i;
  EXPECT_EQ(forbid(many, 7).error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(memory->used_bytes(), 0U);
}

}  // namespace
}  // namespace pie::host
