#include "decode/history_rules.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>

namespace pie::decode {
namespace {

using Tokens = std::vector<TokenId>;

struct Expected {
  float divisor = 1, subtrahend = 0;
};

/// By the words of the contract, over the whole text.
std::map<TokenId, Expected> reference(const TokenChoice& sampling, const Tokens& context,
                                      const Tokens& generated) {
  std::map<TokenId, Expected> expected;
  Tokens text = context;
  text.insert(text.end(), generated.begin(), generated.end());
  const size_t window = std::min<size_t>(sampling.penalties.window, text.size());
  for (size_t i = text.size() - window; i < text.size(); ++i)
    expected[text[i]].divisor = sampling.penalties.repetition;
  const bool counts_window = sampling.penalties.counted == Penalties::Counted::kWindow;
  const Tokens counted =
      counts_window ? Tokens(text.end() - static_cast<ptrdiff_t>(window), text.end()) : generated;
  for (const TokenId token : counted) {
    const auto count = std::count(counted.begin(), counted.end(), token);
    expected[token].subtrahend =
        sampling.penalties.presence + sampling.penalties.frequency * static_cast<float>(count);
  }
  const DryPenalty& dry = sampling.dry;
  if (dry.multiplier == 0) return expected;
  Tokens last(text.end() - static_cast<ptrdiff_t>(std::min<size_t>(dry.window, text.size())),
              text.end());
  const auto breaks = [&](TokenId token) {
    return std::find(dry.breakers.begin(), dry.breakers.end(), token) != dry.breakers.end();
  };
  std::map<TokenId, size_t> longest;
  for (size_t end = 1; end < last.size(); ++end) {
    size_t length = 0;
    while (length < end && length < 64 && !breaks(last[end - 1 - length]) &&
           last[end - 1 - length] == last[last.size() - 1 - length])
      ++length;
    if (length >= dry.allowed_length && !breaks(last[end]))
      longest[last[end]] = std::max(longest[last[end]], length);
  }
  for (const auto& [token, length] : longest)
    expected[token].subtrahend +=
        dry.multiplier * std::pow(dry.base, static_cast<float>(length - dry.allowed_length));
  return expected;
}

void expect_equal(const std::shared_ptr<sample::LogitRules>& rules,
                  std::map<TokenId, Expected> expected) {
  std::erase_if(expected, [](const auto& one) {
    return one.second.divisor == 1 && one.second.subtrahend == 0;
  });
  std::map<TokenId, Expected> got;
  for (const auto& one : rules->penalties)
    if (one.divisor != 1 || one.subtrahend != 0) got[one.token] = {one.divisor, one.subtrahend};
  ASSERT_EQ(got.size(), expected.size());
  for (const auto& [token, one] : expected) {
    ASSERT_TRUE(got.contains(token)) << token;
    EXPECT_FLOAT_EQ(got[token].divisor, one.divisor) << token;
    EXPECT_FLOAT_EQ(got[token].subtrahend, one.subtrahend) << token;
  }
}

TEST(HistoryRules, nothing_is_done_where_nothing_is_asked) {
  HistoryRules rules({}, Tokens{1, 2, 3});
  rules.append(4);
  EXPECT_EQ(rules.after(Tokens{5}), nullptr);
}

TEST(HistoryRules, say_the_same_of_a_draft_as_of_the_text_that_it_becomes) {
  std::mt19937 random(3);
  for (int round = 0; round < 100; ++round) {
    TokenChoice sampling;
    sampling.penalties = {
        .repetition = 1.2F,
        .window = static_cast<uint32_t>(random() % 30),
        .presence = 0.5F,
        .frequency = 0.25F,
        .counted = round % 4 < 2 ? Penalties::Counted::kGenerated : Penalties::Counted::kWindow};
    sampling.dry = {.multiplier = round % 2 == 0 ? 0.0F : 0.8F,
                    .base = 1.5F,
                    .allowed_length = static_cast<uint32_t>(1 + random() % 3),
                    .window = static_cast<uint32_t>(random() % 40),
                    .breakers = {3}};
    const auto some = [&](size_t count) {
      Tokens tokens(count);
      for (TokenId& one : tokens) one = random() % 4;
      return tokens;
    };
    const Tokens context = some(random() % 20), text = some(random() % 20),
                 draft = some(random() % 5);
    HistoryRules rules(sampling, context);
    for (const TokenId token : text) rules.append(token);
    Tokens generated = text;
    generated.insert(generated.end(), draft.begin(), draft.end());
    expect_equal(rules.after(draft), reference(sampling, context, generated));
  }
}

TEST(HistoryRules, a_bias_is_passed_on) {
  TokenChoice sampling;
  sampling.bias = {{7, 1.5F}};
  const auto rules = HistoryRules(sampling, {}).after({});
  EXPECT_EQ(rules->bias, sampling.bias);
  EXPECT_TRUE(rules->penalties.empty());
}

}  // namespace
}  // namespace pie::decode
