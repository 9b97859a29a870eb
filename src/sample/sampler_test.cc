#include "sample/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "sample/random.h"

namespace pie::sample {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> random_logits(size_t count, uint64_t seed, float spread = 3.0F) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(0.0F, spread);
  std::vector<float> logits(count);
  for (float& logit : logits) logit = normal(random);
  return logits;
}

void normalise(std::vector<double>& p) {
  const double sum = std::accumulate(p.begin(), p.end(), 0.0);
  for (double& x : p) x /= sum;
}

void keep_typical(std::vector<double>& p, double mass) {
  double entropy = 0;
  for (const double x : p) entropy -= x > 0 ? x * std::log(x) : 0;
  std::vector<std::pair<double, size_t>> order;
  for (size_t i = 0; i < p.size(); ++i) {
    if (p[i] > 0) order.emplace_back(std::abs(-std::log(p[i]) - entropy), i);
  }
  std::sort(order.begin(), order.end());
  std::vector<double> kept(p.size(), 0);
  double sum = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    // What is as close as the last one stays with it.
    if (sum >= mass && i > 0 && order[i].first > order[i - 1].first + 1e-9) break;
    kept[order[i].second] = p[order[i].second];
    sum += p[order[i].second];
  }
  p = std::move(kept);
  normalise(p);
}

void exclude_top(std::vector<double>& p, double threshold) {
  double least = 2;
  for (const double x : p) least = x > 0 && x >= threshold ? std::min(least, x) : least;
  for (double& x : p) x = x > least ? 0 : x;
  normalise(p);
}

/// The definition, spelled out: softmax in double over a full sort, then the filters in order.
std::vector<double> exact(const std::vector<float>& logits, const SamplerParams& params) {
  const size_t n = logits.size();
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return logits[a] > logits[b]; });
  std::vector<double> p(n);
  const double best = logits[order[0]];
  for (size_t i = 0; i < n; ++i) p[i] = std::exp((logits[i] - best) / params.temperature);
  size_t kept = params.top_k == 0 ? n : std::min<size_t>(n, params.top_k);
  double total = 0;
  for (size_t i = 0; i < kept; ++i) total += p[order[i]];
  if (params.top_p < 1) {
    double sum = 0;
    size_t count = 0;
    while (count < kept) {
      sum += p[order[count++]];
      if (sum >= total * params.top_p) break;
    }
    kept = count;
  }
  while (kept > 1 && p[order[kept - 1]] < params.min_p) --kept;
  for (size_t i = kept; i < n; ++i) p[order[i]] = 0;
  normalise(p);
  if (params.typical_p < 1) keep_typical(p, params.typical_p);
  if (params.xtc_probability >= 1) exclude_top(p, params.xtc_threshold);
  if (params.surprise_max > 0) {
    const double most = *std::max_element(p.begin(), p.end());
    for (double& x : p) x = x == most || (x > 0 && -std::log2(x) <= params.surprise_max) ? x : 0;
    normalise(p);
  }
  return p;
}

/// Draws many times and compares with the exact probabilities: what they exclude is never drawn,
/// and chi-square over the rest stays below the 99.9 % point (Wilson-Hilferty).
void expect_distribution(const std::vector<float>& logits, const SamplerParams& params,
                         uint64_t seed) {
  constexpr size_t kDraws = 20000;
  const std::vector<double> expected = exact(logits, params);
  std::vector<size_t> counts(logits.size(), 0);
  Sampler sampler;
  for (size_t i = 0; i < kDraws; ++i) {
    ++counts[sampler.draw(logits, params, chance_of({seed, 1, i, 0})).token];
  }
  double chi = 0;
  double rare_expected = 0;
  double rare_count = 0;
  double cells = -1;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (expected[i] == 0) {
      ASSERT_EQ(counts[i], 0u) << "token " << i << " is filtered out";
      continue;
    }
    const double e = expected[i] * kDraws;
    const auto c = static_cast<double>(counts[i]);
    if (e < 5) {
      rare_expected += e, rare_count += c;
      continue;
    }
    chi += (c - e) * (c - e) / e;
    ++cells;
  }
  if (rare_expected >= 5) {
    chi += (rare_count - rare_expected) * (rare_count - rare_expected) / rare_expected;
    ++cells;
  }
  if (cells < 1) return;
  const double h = 2.0 / (9.0 * cells);
  const double bound = cells * std::pow(1.0 - h + 3.09 * std::sqrt(h), 3);
  EXPECT_LT(chi, bound) << "with " << cells << " degrees of freedom";
}

TEST(Sampler, draws_follow_the_exact_probabilities) {
  const std::vector<SamplerParams> all{
      {.temperature = 1.0F},
      {.temperature = 0.3F},
      {.temperature = 2.0F},
      {.temperature = 1.0F, .top_k = 7},
      {.temperature = 1.0F, .top_p = 0.8F},
      {.temperature = 0.6F, .top_p = 0.95F},
      {.temperature = 1.0F, .min_p = 0.1F},
      {.temperature = 1.0F, .top_k = 20, .top_p = 0.7F},
      {.temperature = 1.5F, .top_k = 30, .top_p = 0.9F, .min_p = 0.05F},
      {.temperature = 1.0F, .top_p = 0.9F, .min_p = 0.2F},
      {.temperature = 1.0F, .typical_p = 0.2F},
      {.temperature = 1.0F, .typical_p = 0.7F},
      {.temperature = 2.0F, .typical_p = 0.95F},
      {.temperature = 1.0F, .top_k = 40, .typical_p = 0.5F},
      {.temperature = 0.8F, .top_p = 0.9F, .min_p = 0.01F, .typical_p = 0.6F},
      {.temperature = 1.0F, .xtc_probability = 1.0F, .xtc_threshold = 0.1F},
      {.temperature = 1.0F, .xtc_probability = 1.0F, .xtc_threshold = 0.01F},
      {.temperature = 2.0F, .top_k = 50, .xtc_probability = 1.0F, .xtc_threshold = 0.02F},
      {.temperature = 1.0F, .top_p = 0.95F, .xtc_probability = 1.0F, .xtc_threshold = 0.05F},
      {.temperature = 1.0F, .surprise_max = 3.0F},
      {.temperature = 1.0F, .top_k = 30, .surprise_max = 4.0F},
      {.temperature = 1.2F,
       .top_p = 0.98F,
       .min_p = 0.001F,
       .typical_p = 0.9F,
       .xtc_probability = 1.0F,
       .xtc_threshold = 0.05F,
       .surprise_max = 6.0F},
  };
  uint64_t seed = 11;
  for (const SamplerParams& params : all) {
    for (const size_t count : {2, 37, 300, 1000}) {
      SCOPED_TRACE(testing::Message()
                   << "T " << params.temperature << " k " << params.top_k << " p " << params.top_p
                   << " min_p " << params.min_p << " typical " << params.typical_p << " xtc "
                   << params.xtc_probability << " of " << params.xtc_threshold << " surprise "
                   << params.surprise_max << " tokens " << count);
      expect_distribution(random_logits(count, seed), params, seed);
      ++seed;
    }
  }
}

TEST(Sampler, a_wide_nucleus_keeps_exactly_the_smallest_set) {
  // Nearly flat: the nucleus is most of the vocabulary, so that every path to it is taken.
  const std::vector<float> logits = random_logits(20000, 5, 0.5F);
  const SamplerParams params{.temperature = 1.0F, .top_p = 0.9F};
  const std::vector<double> expected = exact(logits, params);
  const auto kept = std::count_if(expected.begin(), expected.end(), [](double p) { return p > 0; });
  ASSERT_GT(kept, 10000);
  Sampler sampler;
  for (uint64_t i = 0; i < 300; ++i) {
    const TokenId token = sampler.draw(logits, params, chance_of({3, 1, i, 0})).token;
    ASSERT_GT(expected[token], 0) << "draw " << i;
  }
}

TEST(Sampler, a_nucleus_parts_equal_tokens_by_their_ids) {
  std::vector<float> logits(20000, 1.0F);
  logits[19999] = 3.0F;
  Sampler sampler;
  TokenId greatest = 0;
  for (uint64_t i = 0; i < 200; ++i) {
    const TokenId token =
        sampler.draw(logits, {.temperature = 1.0F, .top_p = 0.5F}, chance_of({3, 2, i, 0})).token;
    if (token != 19999) greatest = std::max(greatest, token);
  }
  EXPECT_LT(greatest, 10000u);
  EXPECT_GT(greatest, 9000u);
}

TEST(Sampler, a_wide_typical_set_is_exact) {
  const SamplerParams params{.temperature = 1.0F, .typical_p = 0.5F};
  for (const float spread : {0.0F, 0.01F, 1.0F, 3.0F}) {
    const std::vector<float> logits = random_logits(20000, 6, spread);
    const std::vector<double> expected = exact(logits, params);
    const LogitRange kept = MassRange().typical(
        logits, {.max = *std::max_element(logits.begin(), logits.end())}, {}, params.typical_p);
    size_t wrong = 0;
    for (size_t i = 0; i < logits.size(); ++i) {
      const bool is_kept = logits[i] >= kept.least && logits[i] <= kept.most;
      if (is_kept != (expected[i] > 0)) ++wrong;
    }
    // Where the mass is reached to the last digit, one token more or less is within rounding.
    EXPECT_LE(wrong, 2u) << "spread " << spread;
  }
}

TEST(Sampler, exclusion_comes_as_often_as_it_says_and_by_its_own_number) {
  const std::vector<float> logits{3.0F, 2.5F, 2.0F, -3.0F};
  const SamplerParams params{.temperature = 1.0F, .xtc_probability = 0.3F, .xtc_threshold = 0.15F};
  Sampler sampler;
  size_t without_best = 0;
  for (uint64_t i = 0; i < 20000; ++i) {
    const DrawChance chance = chance_of({5, 1, i, 0});
    const TokenId token = sampler.draw(logits, params, chance).token;
    if (chance.exclusion < 0.3) {
      EXPECT_GE(token, 2u) << "all but the least probable go";
    }
    without_best += chance.exclusion < 0.3;
  }
  EXPECT_NEAR(static_cast<double>(without_best) / 20000, 0.3, 0.015);
}

TEST(Sampler, surprise_is_of_the_distribution_that_was_drawn_from) {
  const std::vector<float> logits = random_logits(1000, 12);
  Sampler sampler;
  for (const SamplerParams& params :
       {SamplerParams{.temperature = 1.0F}, SamplerParams{.temperature = 0.5F, .top_k = 9},
        SamplerParams{.temperature = 1.0F, .top_p = 0.9F},
        SamplerParams{.temperature = 1.0F, .typical_p = 0.8F},
        SamplerParams{.temperature = 1.0F, .xtc_probability = 1.0F, .xtc_threshold = 0.01F},
        SamplerParams{.temperature = 1.5F, .surprise_max = 5.0F}}) {
    const std::vector<double> p = exact(logits, params);
    for (uint64_t i = 0; i < 100; ++i) {
      const DrawnToken drawn = sampler.draw(logits, params, chance_of({4, 1, i, 0}));
      ASSERT_NEAR(drawn.surprise, -std::log2(p[drawn.token]), 1e-3);
    }
  }
  EXPECT_EQ(sampler.draw(logits, {}, {0.5}).surprise, 0.0F) << "greedy: nothing else could come";
}

TEST(Sampler, the_ends_of_the_unit_interval_draw_the_ends_of_the_nucleus) {
  const std::vector<float> logits{1.0F, 3.0F, 2.0F, 0.0F};
  Sampler sampler;
  const SamplerParams params{.temperature = 1.0F, .top_k = 3};
  EXPECT_EQ(sampler.draw(logits, params, {0.0}).token, 1u);
  EXPECT_EQ(sampler.draw(logits, params, {std::nextafter(1.0, 0.0)}).token, 0u);
}

TEST(Sampler, same_key_same_token_whatever_was_drawn_before) {
  const std::vector<float> logits = random_logits(5000, 8);
  const SamplerParams params{.temperature = 1.0F, .top_p = 0.99F};
  Sampler used;
  for (uint64_t i = 0; i < 50; ++i) used.draw(logits, {.temperature = 1.0F, .top_k = 9}, {0.5});
  for (uint64_t i = 0; i < 50; ++i) {
    Sampler fresh;
    const double u = uniform({1, 2, i, 0});
    EXPECT_EQ(used.draw(logits, params, {u}).token, fresh.draw(logits, params, {u}).token);
  }
  EXPECT_NE(uniform({1, 2, 3, 4}), uniform({2, 2, 3, 4}));
  EXPECT_NE(uniform({1, 2, 3, 4}), uniform({1, 3, 3, 4}));
  EXPECT_NE(uniform({1, 2, 3, 4}), uniform({1, 2, 4, 4}));
  EXPECT_NE(uniform({1, 2, 3, 4}), uniform({1, 2, 3, 5}));
}

TEST(Sampler, low_temperature_is_the_argmax_with_the_lowest_id_of_ties) {
  std::vector<float> logits = random_logits(1000, 3);
  logits[700] = logits[300] = logits[512] = 50.0F;
  Sampler sampler;
  EXPECT_EQ(argmax(logits), 300u);
  for (const float t : {0.0F, 9e-6F, -1.0F, kNan}) {
    EXPECT_EQ(sampler.draw(logits, {.temperature = t}, {0.999}).token, 300u);
  }
}

TEST(Sampler, argmax_finds_the_best_at_every_place_of_every_length) {
  for (size_t count = 1; count < 600; count += 7) {
    for (size_t at = 0; at < count; at += 5) {
      std::vector<float> logits(count, -4.0F);
      logits[at] = -3.0F;
      ASSERT_EQ(argmax(logits), at) << "of " << count;
    }
  }
}

TEST(Sampler, filters_at_their_bounds) {
  const std::vector<float> logits{0.0F, 2.0F, 2.0F, 1.0F};
  Sampler sampler;
  const auto drawn = [&](const SamplerParams& params) {
    std::vector<bool> seen(4, false);
    for (uint64_t i = 0; i < 400; ++i) {
      seen[sampler.draw(logits, params, chance_of({1, 1, i, 0})).token] = true;
    }
    return seen;
  };
  const std::vector<bool> everything(4, true);
  const std::vector<bool> first{false, true, false, false};
  const std::vector<bool> tied{false, true, true, false};
  EXPECT_EQ(drawn({.temperature = 1, .top_k = 0}), everything);
  EXPECT_EQ(drawn({.temperature = 1, .top_k = 100}), everything);
  EXPECT_EQ(drawn({.temperature = 1, .top_p = 1.0F}), everything);
  EXPECT_EQ(drawn({.temperature = 1, .top_p = 3.0F}), everything);
  EXPECT_EQ(drawn({.temperature = 1, .top_p = kNan}), everything);
  EXPECT_EQ(drawn({.temperature = kInf}), everything);
  EXPECT_EQ(drawn({.temperature = 1, .top_k = 1}), first);
  EXPECT_EQ(drawn({.temperature = 1, .top_p = 0.0F}), first);
  EXPECT_EQ(drawn({.temperature = 1, .top_p = -1.0F}), first);
  EXPECT_EQ(drawn({.temperature = 1, .min_p = 1.0F}), tied);
  EXPECT_EQ(drawn({.temperature = 1, .min_p = 7.0F}), tied);
  EXPECT_EQ(drawn({.temperature = 1, .min_p = kNan}), everything);
  EXPECT_EQ(drawn({.temperature = 1, .typical_p = kNan}), everything);
  EXPECT_EQ(drawn({.temperature = 1, .typical_p = 0.0F}), tied) << "closest to the entropy";
  EXPECT_EQ(drawn({.temperature = 1, .xtc_probability = kNan}), everything);
  EXPECT_EQ(drawn({.temperature = 1, .xtc_probability = 1, .xtc_threshold = kNan}), everything);
  EXPECT_EQ(drawn({.temperature = 1, .xtc_probability = 1, .xtc_threshold = 2.0F}), everything);
  EXPECT_EQ(drawn({.temperature = 1, .xtc_probability = 1, .xtc_threshold = 0.0F}),
            (std::vector<bool>{true, false, false, false}));
  EXPECT_EQ(drawn({.temperature = 1, .surprise_max = kNan}), everything);
  EXPECT_EQ(drawn({.temperature = 1, .surprise_max = -7.0F}), tied);
  EXPECT_EQ(drawn({.temperature = 1, .surprise_max = kInf}), everything);
}

TEST(Sampler, all_equal_logits_are_drawn_evenly) {
  const std::vector<float> logits(64, 1.5F);
  expect_distribution(logits, {.temperature = 0.7F}, 21);
  expect_distribution(logits, {.temperature = 0.7F, .top_p = 0.5F}, 22);
  expect_distribution(logits, {.temperature = 0.7F, .top_k = 10}, 23);
}

TEST(Sampler, masked_and_broken_logits_are_never_drawn) {
  std::vector<float> logits(500, -kInf);
  logits[17] = 1.0F;
  logits[18] = kNan;
  logits[400] = 1.0F;
  Sampler sampler;
  for (const SamplerParams& params :
       {SamplerParams{.temperature = 1.0F}, SamplerParams{.temperature = kInf},
        SamplerParams{.temperature = 1.0F, .top_k = 50},
        SamplerParams{.temperature = 1.0F, .top_p = 0.999F},
        SamplerParams{.temperature = 1.0F, .min_p = 0.001F},
        SamplerParams{.temperature = 1.0F, .typical_p = 0.9F},
        SamplerParams{.temperature = kInf, .typical_p = 0.9F},
        SamplerParams{.temperature = 1.0F, .xtc_probability = 1.0F, .xtc_threshold = 0.0F},
        SamplerParams{.temperature = 1.0F, .surprise_max = 40.0F}}) {
    for (uint64_t i = 0; i < 200; ++i) {
      const TokenId token = sampler.draw(logits, params, chance_of({9, 1, i, 0})).token;
      ASSERT_TRUE(token == 17 || token == 400) << token;
    }
  }
}

TEST(Sampler, nothing_but_masked_logits_gives_token_0) {
  Sampler sampler;
  for (const float value : {-kInf, kNan}) {
    const std::vector<float> logits(300, value);
    EXPECT_EQ(argmax(logits), 0u);
    EXPECT_EQ(sampler.draw(logits, {.temperature = 1.0F, .top_p = 0.5F}, {0.9}).token, 0u);
    const Distribution ranking = sampler.rank(logits, 1.0F, 2);
    EXPECT_EQ(ranking.ids, (std::vector<TokenId>{0, 1}));
    EXPECT_EQ(ranking.probabilities, (std::vector<float>{0.0F, 0.0F}));
  }
}

TEST(Sampler, an_infinite_logit_wins) {
  std::vector<float> logits = random_logits(300, 6);
  logits[123] = kInf;
  Sampler sampler;
  EXPECT_EQ(argmax(logits), 123u);
  EXPECT_EQ(sampler.draw(logits, {.temperature = 1.0F}, {0.7}).token, 123u);
  EXPECT_EQ(sampler.draw(logits, {.temperature = 1.0F, .typical_p = 0.5F}, {0.7}).token, 123u);
  EXPECT_FLOAT_EQ(sampler.rank(logits, 1.0F, 1).probabilities[0], 1.0F);
}

TEST(Distribution, is_the_k_best_of_the_tempered_softmax_descending) {
  const std::vector<float> logits = random_logits(49152, 4);
  Sampler sampler;
  for (const float t : {0.5F, 1.0F, 3.0F}) {
    const std::vector<double> p = exact(logits, {.temperature = t});
    const Distribution ranking = sampler.rank(logits, t, 40);
    ASSERT_EQ(ranking.ids.size(), 40u);
    EXPECT_TRUE(std::is_sorted(ranking.probabilities.rbegin(), ranking.probabilities.rend()));
    for (size_t i = 0; i < 40; ++i) {
      const double expected = p[ranking.ids[i]];
      EXPECT_NEAR(ranking.probabilities[i], expected, 2e-6 * expected + 1e-9);
      const auto better = std::count_if(p.begin(), p.end(), [&](double q) { return q > expected; });
      EXPECT_EQ(static_cast<size_t>(better), i);
    }
  }
}

TEST(Distribution, untempered_at_zero_and_ties_by_lower_id) {
  const std::vector<float> logits{1.0F, 2.0F, 2.0F, 1.0F, 2.0F};
  Sampler sampler;
  const Distribution cold = sampler.rank(logits, 0.0F, 10);
  EXPECT_EQ(cold.ids, (std::vector<TokenId>{1, 2, 4, 0, 3}));
  EXPECT_EQ(cold.probabilities, sampler.rank(logits, 1.0F, 10).probabilities);
  EXPECT_NEAR(std::accumulate(cold.probabilities.begin(), cold.probabilities.end(), 0.0), 1, 1e-6);
  EXPECT_TRUE(sampler.rank(logits, 1.0F, 0).ids.empty());
}

}  // namespace
}  // namespace pie::sample
