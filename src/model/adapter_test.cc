#include "model/adapter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "model/adapter_file.h"
#include "model/architecture.h"
#include "model/evolution.h"
#include "model/gguf_bytes.h"
#include "support/random_adapter.h"

namespace pie::model {
namespace {

using testing::HasSubstr;

Architecture small() {
  Architecture a;
  a.family = "llama";
  a.layer_count = 2;
  a.embedding_size = 32;
  a.head_count = 2;
  a.kv_head_count = 1;
  a.key_size = a.value_size = 16;
  a.ffn_size = 64;
  return a;
}

std::vector<uint8_t> file_of(const std::function<void(GgufWriter&)>& change,
                             const std::string& family = "llama") {
  GgufWriter file;
  file.text("general.type", "adapter");
  file.text("general.architecture", family);
  file.text("adapter.type", "lora");
  file.number("adapter.lora.alpha", 8);
  change(file);
  return file.write();
}

Result<Adapter> read(const std::vector<uint8_t>& bytes) {
  const Architecture architecture = small();
  PIE_TRY_ASSIGN(const AdapterFile file,
                 AdapterFile::open(std::as_bytes(std::span(bytes)), architecture));
  const auto work = file.start_load();
  for (bool has_more = true; has_more;) {
    PIE_TRY_ASSIGN(has_more, work->advance());
  }
  return work->take();
}

void expect_refused(const std::vector<uint8_t>& bytes, const std::string& message) {
  const auto adapter = read(bytes);
  ASSERT_FALSE(adapter.ok()) << message;
  EXPECT_EQ(adapter.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(adapter.error().message, HasSubstr(message));
}

TEST(AdapterFileTest, an_adapter_that_is_written_and_read_is_the_same) {
  const Architecture architecture = small();
  const AdapterRef made = test::random_adapter(architecture, {.rank = 3, .seed = 5});
  const auto bytes = write_adapter(*made, architecture, "mine");
  const Adapter read_back = read(bytes).value();
  EXPECT_EQ(read_back.b->size(), made->b->size());
  EXPECT_EQ(0, std::memcmp(read_back.b->get(), made->b->get(), made->b->size()));
  EXPECT_EQ(write_adapter(read_back, architecture, "mine"), bytes);
}

TEST(AdapterFileTest, values_lie_as_the_header_says) {
  const Adapter adapter = read(file_of([](GgufWriter& file) {
                            std::vector<float> a(2 * 32), b(16 * 2);
                            for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(i);
                            for (size_t i = 0; i < b.size(); ++i) b[i] = static_cast<float>(i);
                            file.matrix("blk.1.attn_k.weight.lora_a", 2, 32, a);
                            file.matrix("blk.1.attn_k.weight.lora_b", 16, 2, b);
                          })).value();
  EXPECT_EQ(adapter.find(TensorRole::kKey, 0), nullptr);
  EXPECT_EQ(adapter.find(TensorRole::kQuery, 1), nullptr);
  const LowRank* matrix = adapter.find(TensorRole::kKey, 1);
  ASSERT_NE(matrix, nullptr);
  EXPECT_EQ(matrix->rank, 2U);
  EXPECT_EQ(matrix->factor, 4.0F);
  EXPECT_EQ(adapter.a_of(*matrix)[32 + 5], 37.0F);
  EXPECT_EQ(adapter.b_of(*matrix)[16 + 5], 11.0F);  // row 5, component 1
}

TEST(AdapterFileTest, what_is_wrong_is_named) {
  const std::vector<float> a(2 * 32), b(32 * 2);
  const auto pair = [&](GgufWriter& file) {
    file.matrix("blk.0.attn_q.weight.lora_a", 2, 32, a);
    file.matrix("blk.0.attn_q.weight.lora_b", 32, 2, b);
  };
  EXPECT_TRUE(read(file_of(pair)).ok());
  expect_refused({}, "[gguf] got 0 bytes for the magic");
  expect_refused({'P', 'N', 'G', 0, 0, 0, 0, 0}, "[gguf] got no magic");
  expect_refused(file_of(pair, "qwen2"), "[general.architecture] got 'qwen2', expected 'llama'");
  expect_refused(file_of([&](GgufWriter& file) {
                   pair(file);
                   file.text("general.type", "model");
                 }),
                 "[general.type] got 'model', expected 'adapter'");
  expect_refused(file_of([&](GgufWriter& file) {
                   pair(file);
                   file.number("adapter.lora.alpha", std::numeric_limits<float>::infinity());
                 }),
                 "[adapter.lora.alpha] got inf, expected a finite number");
  expect_refused(
      file_of([&](GgufWriter& file) { file.matrix("blk.0.attn_q.weight.lora_a", 2, 32, a); }),
      "[blk.0.attn_q.weight] got one of .lora_a and .lora_b, expected both");
  expect_refused(file_of([&](GgufWriter& file) {
                   file.matrix("blk.0.attn_q.weight.lora_a", 2, 32, a);
                   file.matrix("blk.0.attn_q.weight.lora_b", 16, 2, std::vector<float>(32));
                 }),
                 "[blk.0.attn_q.weight.lora_b] got shape [16, 2], expected [32, 2]");
  expect_refused(file_of([&](GgufWriter& file) {
                   pair(file);
                   file.matrix("token_embd.weight.lora_a", 2, 32, a);
                 }),
                 "[token_embd.weight.lora_a] got this tensor, expected blk.N.NAME");
  expect_refused(file_of([&](GgufWriter& file) {
                   auto wrong = b;
                   wrong[3] = std::nanf("");
                   file.matrix("blk.0.attn_q.weight.lora_a", 2, 32, a);
                   file.matrix("blk.0.attn_q.weight.lora_b", 32, 2, wrong);
                 }),
                 "[blk.0.attn_q.weight.lora_b] got the number nan");
}

/// Every file that is cut off, or has one wrong byte, is refused or read; nothing else happens.
TEST(AdapterFileTest, damaged_files_do_no_harm) {
  const Architecture architecture = small();
  const auto bytes =
      write_adapter(*test::random_adapter(architecture, {.rank = 1, .seed = 2}), architecture, "x");
  const size_t header = 2000;
  for (size_t size = 0; size < bytes.size(); size += size < header ? 1 : 997)
    EXPECT_FALSE(read({bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size)}).ok());
  size_t refused = 0;
  for (size_t at = 0; at < std::min(header, bytes.size()); ++at) {
    for (const uint8_t flip : {0x01, 0x80, 0xFF}) {
      auto wrong = bytes;
      wrong[at] = static_cast<uint8_t>(wrong[at] ^ flip);
      refused += read(wrong).ok() ? 0 : 1;
    }
  }
  EXPECT_GT(refused, header);
}

// ---- evolution

Adapter finish(const std::unique_ptr<AdapterWork>& work) {
  while (work->advance().value()) {
  }
  return work->take();
}

constexpr EvolutionParams kParams = {
    .rank = 2, .alpha = 2, .population_size = 8, .mu_fraction = 0.5, .initial_sigma = 0.1};

AdapterRef first_mean() {
  static const Architecture architecture = small();
  return seal(finish(start_evolving(architecture, kParams)));
}

std::vector<float> noise(int64_t seed, size_t count) {
  std::vector<float> values(count);
  add_noise(seed, 1.0F, 0, count, values.data());
  return values;
}

TEST(EvolutionTest, noise_is_normal_mirrored_and_the_same_in_any_pieces) {
  constexpr size_t kCount = 200'001;
  const auto all = noise(7, kCount);
  double sum = 0, squares = 0;
  for (const float value : all) {
    sum += value;
    squares += double{value} * value;
  }
  EXPECT_NEAR(sum / kCount, 0.0, 4 / std::sqrt(kCount));
  EXPECT_NEAR(squares / kCount, 1.0, 4 * std::sqrt(2.0 / kCount));
  const auto mirrored = noise(-7, kCount);
  for (size_t i = 0; i < kCount; ++i) ASSERT_EQ(mirrored[i], -all[i]) << i;
  std::vector<float> pieces(kCount);
  for (size_t at = 0; at < kCount; at += 333)
    add_noise(7, 1.0F, at, std::min<size_t>(333, kCount - at), pieces.data() + at);
  EXPECT_EQ(pieces, all);
  EXPECT_NE(noise(8, 10), noise(7, 10));
}

TEST(EvolutionTest, the_first_mean_adds_nothing_and_a_candidate_is_its_noise) {
  const AdapterRef mean = first_mean();
  EXPECT_EQ(mean->find(TensorRole::kKey, 0), nullptr);
  ASSERT_NE(mean->find(TensorRole::kValue, 1), nullptr);
  for (const float value : mean->b_values()) ASSERT_EQ(value, 0.0F);
  const Adapter candidate = finish(start_candidate(mean, 42));
  const auto expected = noise(42, mean->b_values().size());
  for (size_t i = 0; i < expected.size(); ++i)
    ASSERT_EQ(candidate.b_values()[i], mean->evolution->sigma * expected[i]) << i;
  EXPECT_FALSE(candidate.evolution.has_value());
  EXPECT_EQ(candidate.a, mean->a);
}

/// Scores are the negative distance to a target: the mean comes nearer with every update.
TEST(EvolutionTest, updates_bring_the_mean_nearer_to_what_scores_better) {
  AdapterRef mean = first_mean();
  const auto target = noise(1234, mean->b_values().size());
  const auto distance = [&](const Adapter& adapter) {
    double sum = 0;
    for (size_t i = 0; i < target.size(); ++i)
      sum += std::pow(double{adapter.b_values()[i]} - target[i], 2);
    return sum;
  };
  const double before = distance(*mean);
  int64_t seed = 1;
  for (uint32_t generation = 1; generation <= 60; ++generation) {
    Scores scores{.scores = {}, .seeds = {}, .max_sigma = 0.2F};
    for (uint32_t i = 0; i < 4; ++i, ++seed) {
      for (const int64_t one : {seed, -seed}) {
        scores.seeds.push_back(one);
        scores.scores.push_back(static_cast<float>(-distance(finish(start_candidate(mean, one)))));
      }
    }
    ASSERT_TRUE(check_scores(*mean, scores).ok());
    mean = seal(finish(start_update(mean, scores)));
    EXPECT_EQ(mean->evolution->generation, generation);
    EXPECT_LE(mean->evolution->sigma, 0.2F);
  }
  EXPECT_LT(distance(*mean), 0.75 * before);
}

TEST(EvolutionTest, an_update_is_what_its_formula_says_and_survives_a_file) {
  const AdapterRef mean = first_mean();
  const Scores scores{.scores = {1, 5, 3}, .seeds = {10, 11, 12}, .max_sigma = 1};
  const Adapter next = finish(start_update(mean, scores));
  const auto best = noise(11, mean->b_values().size());  // mu = floor(0.5 * 3) = 1
  for (size_t i = 0; i < best.size(); ++i)
    ASSERT_FLOAT_EQ(next.b_values()[i], mean->evolution->sigma * best[i]) << i;
  const Architecture architecture = small();
  const auto bytes = write_adapter(next, architecture, "next");
  const Adapter back = read(bytes).value();
  ASSERT_TRUE(back.evolution.has_value());
  EXPECT_EQ(back.evolution->sigma, next.evolution->sigma);
  EXPECT_EQ(back.evolution->generation, 1U);
  const Adapter of_file = finish(start_candidate(seal(back), 3));
  const Adapter of_update = finish(start_candidate(seal(next), 3));
  EXPECT_TRUE(std::ranges::equal(of_file.b_values(), of_update.b_values()));
  EXPECT_EQ(write_adapter(back, architecture, "next"), bytes);
}

TEST(EvolutionTest, what_is_wrong_is_named) {
  const auto refused = [](EvolutionParams params, const std::string& message) {
    const auto checked = check_evolution(params);
    ASSERT_FALSE(checked.ok());
    EXPECT_THAT(checked.error().message, HasSubstr(message));
  };
  EXPECT_TRUE(check_evolution(kParams).ok());
  auto params = kParams;
  params.rank = 0;
  refused(params, "[rank] got 0, expected 1 to 512");
  params = kParams;
  params.mu_fraction = std::nanf("");
  refused(params, "[mu-fraction] got nan");
  params = kParams;
  params.initial_sigma = 0;
  refused(params, "[initial-sigma] got 0");
  const AdapterRef mean = first_mean();
  const auto message = [&](const Scores& scores) {
    return check_scores(*mean, scores).error().message;
  };
  EXPECT_EQ(message({{1}, {1, 2}, 1}), "[seeds] got 2 for 1 scores, expected as many of both");
  EXPECT_EQ(message({{}, {}, 1}), "[scores] got 0, expected 1 to 8 (the population)");
  EXPECT_EQ(message({{std::nanf("")}, {1}, 1}), "[scores] got nan, expected finite numbers");
  EXPECT_EQ(message({{1}, {1}, 0}), "[max-sigma] got 0, expected a finite number above 0");
  const AdapterRef other = test::random_adapter(small(), {.rank = 1});
  EXPECT_THAT(check_scores(*other, {{1}, {1}, 1}).error().message, HasSubstr("does not evolve"));
}

}  // namespace
}  // namespace pie::model
