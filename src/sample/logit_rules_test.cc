// What is done to logits, and what is told of them.
#include "sample/logit_rules.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "sample/log_softmax.h"
#include "sample/sampler.h"

namespace pie::sample {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kMost = std::numeric_limits<float>::max();

std::vector<float> random_logits(size_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(0.0F, 3.0F);
  std::vector<float> logits(count);
  for (float& logit : logits) logit = normal(random);
  return logits;
}

std::vector<float> applied(const LogitRules& rules, const std::vector<float>& logits) {
  std::vector<float> scratch(3, 7.0F);
  const auto row = rules.apply(logits, scratch);
  return {row.begin(), row.end()};
}

TEST(LogitRules, penalties_come_first_then_bias_then_the_mask) {
  LogitRules rules;
  rules.penalties = {{.token = 0, .divisor = 2, .subtrahend = 1}, {.token = 1, .divisor = 2}};
  rules.bias = {{0, 10.0F}, {3, -0.5F}};
  rules.allowed = {0b01011};
  EXPECT_EQ(applied(rules, {4, -4, 1, 2, 5}), (std::vector<float>{11, -8, -kInf, 1.5F, -kInf}));
  EXPECT_EQ(applied({}, {4, -4}), (std::vector<float>{4, -4})) << "no rules, the same row";
}

TEST(LogitRules, masks_of_every_length_forbid_what_is_not_in_them) {
  for (const size_t count : {1, 31, 32, 33, 64, 100, 1000}) {
    const std::vector<float> logits = random_logits(count, count);
    for (const size_t words : {size_t{1}, count / 64 + 1, (count + 31) / 32}) {
      std::mt19937 random(static_cast<uint32_t>(words));
      LogitRules rules;
      for (size_t w = 0; w < words; ++w) rules.allowed.push_back(static_cast<uint32_t>(random()));
      const std::vector<float> row = applied(rules, logits);
      ASSERT_EQ(row.size(), count);
      bool any = false;
      for (size_t i = 0; i < count; ++i) {
        const bool is_allowed = i / 32 < words && ((rules.allowed[i / 32] >> (i % 32)) & 1U) != 0;
        any |= is_allowed;
        ASSERT_EQ(row[i], is_allowed ? logits[i] : -kInf) << "token " << i << " of " << count;
        ASSERT_EQ(rules.allows(static_cast<TokenId>(i)), is_allowed);
      }
      ASSERT_EQ(rules.allows_any(static_cast<uint32_t>(count)), any);
    }
  }
}

TEST(LogitRules, what_is_not_in_the_vocabulary_is_allowed_by_nothing) {
  LogitRules rules;
  rules.allowed = {0, 0b10000};
  EXPECT_TRUE(rules.allows_any(37));
  EXPECT_FALSE(rules.allows_any(36)) << "the bit of token 36 is beyond them";
  EXPECT_TRUE(LogitRules().allows_any(1));
  rules.penalties = {{.token = 99, .divisor = 2}};
  rules.bias = {{99, 1.0F}};
  EXPECT_EQ(applied(rules, {1, 2}), (std::vector<float>{-kInf, -kInf}));
}

TEST(LogitRules, only_the_mask_forbids) {
  LogitRules rules;
  rules.allowed = {0b111};
  rules.bias = {{0, -kMost}, {1, -kMost}, {2, -kMost}};
  rules.penalties = {{.token = 0, .divisor = 1e-30F, .subtrahend = kMost}};
  const std::vector<float> row = applied(rules, {-kMost, -1, 3, 100});
  EXPECT_EQ(row, (std::vector<float>{-kMost, -kMost, -kMost, -kInf}));
  Sampler sampler;
  for (const double u : {0.0, 0.4, 0.7, 0.999}) {
    EXPECT_LT(sampler.draw(row, {.temperature = 1.0F}, {u}).token, 3u);
    EXPECT_LT(sampler.draw(row, {.temperature = 1.0F, .typical_p = 0.5F}, {u}).token, 3u);
  }
}

TEST(LogSoftmax, tells_log_probabilities_and_entropy) {
  for (const size_t count : {1, 5, 256, 49152}) {
    const std::vector<float> logits = random_logits(count, count + 1);
    const double best = *std::max_element(logits.begin(), logits.end());
    double total = 0;
    for (const float logit : logits) total += std::exp(logit - best);
    double expected_entropy = 0;
    for (const float logit : logits) {
      const double log_p = logit - best - std::log(total);
      expected_entropy -= std::exp(log_p) * log_p;
    }
    const auto last = static_cast<TokenId>(count - 1);
    const std::vector<TokenId> tokens{0, last, last / 2, 0};
    const std::vector<float> found = log_probabilities(logits, tokens);
    for (size_t i = 0; i < tokens.size(); ++i)
      EXPECT_NEAR(found[i], logits[tokens[i]] - best - std::log(total), 1e-5);
    EXPECT_NEAR(entropy(logits), expected_entropy, 1e-4);
  }
}

TEST(LogSoftmax, rows_with_infinite_logits_have_answers) {
  const std::vector<TokenId> two{0, 1};
  EXPECT_EQ(log_probabilities(std::vector{-kInf, -kInf}, two), (std::vector{-kInf, -kInf}));
  EXPECT_EQ(entropy(std::vector{-kInf, -kInf}), 0);
  EXPECT_EQ(log_probabilities(std::vector{0.0F, -kInf}, two), (std::vector{0.0F, -kInf}));
  EXPECT_EQ(entropy(std::vector{0.0F, -kInf, -kInf}), 0);
  EXPECT_FLOAT_EQ(entropy(std::vector{1.0F, 1.0F, -kInf}), std::log(2.0F));
}

TEST(LogitRow, is_the_greatest_logits_or_the_row_as_it_is) {
  const std::vector<float> logits{1, 5, -2, 5, -kInf};
  Sampler sampler;
  const LogitRow three = sampler.best(logits, 3);
  EXPECT_EQ(three.ids, (std::vector<TokenId>{1, 3, 0}));
  EXPECT_EQ(three.logits, (std::vector<float>{5, 5, 1}));
  EXPECT_EQ(sampler.best(logits, 100).ids.size(), 5u);
  const LogitRow all = sampler.best(logits, 0);
  EXPECT_TRUE(all.ids.empty());
  EXPECT_EQ(all.logits, logits);
}

}  // namespace
}  // namespace pie::sample
