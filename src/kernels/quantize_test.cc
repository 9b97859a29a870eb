#include "kernels/quantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/matmul.h"
#include "kernels/testing/kernel_sets.h"
#include "kernels/testing/random_matrix.h"
#include "kernels/tile/activation_panel.h"

namespace pie::kernels {
namespace {

size_t bytes_of(const Activations& x) { return activation_bytes(x.kind, x.token_count, x.k); }

bool same_bytes(const PackedActivations& a, const PackedActivations& b) {
  return std::memcmp(a.view.data, b.view.data, bytes_of(a.view)) == 0;
}

/// One group of a batch of one token.
struct Group {
  int8_t q[32];
  float d, d_sum;
  int32_t minus_sum, minus_sum_16[2];
};
static_assert(sizeof(Group) == kActivationGroupBytes);

Group group_of(const PackedActivations& x, size_t g) {
  Group group;
  std::memcpy(&group, x.view.data + g * sizeof group, sizeof group);
  return group;
}

TEST(Quantize, tiles_are_as_equal_as_possible_and_cover_all_tokens) {
  for (uint32_t tokens = 1; tokens <= 300; ++tokens) {
    uint32_t shortest = kTileTokens;
    uint32_t longest = 0;
    for (uint32_t tile = 0; tile < tile_count(tokens); ++tile) {
      const uint32_t begin = tile_begin(tokens, tile);
      const uint32_t end = tile_begin(tokens, tile + 1);
      shortest = std::min(shortest, end - begin);
      longest = std::max(longest, end - begin);
      for (uint32_t t = begin; t < end; ++t) ASSERT_EQ(tile_of(tokens, t), tile);
    }
    EXPECT_EQ(tile_begin(tokens, tile_count(tokens)), tokens);
    EXPECT_LE(longest - shortest, 1U);
    EXPECT_LE(longest, kTileTokens);
  }
}

TEST(Quantize, error_is_below_the_bound_and_sums_are_exact) {
  constexpr uint32_t kK = 32 * 2000;
  std::vector<float> floats = random_floats(kK, 4);
  for (size_t i = 0; i < kK; ++i) floats[i] *= std::ldexp(1.0F, static_cast<int>(i / 32 % 60) - 30);
  const auto x = pack(kScalarKernels, ActivationKind::kInt8, floats, 1, kK);
  for (size_t g = 0; g < kK / 32; ++g) {
    const Group group = group_of(x, g);
    double largest = 0;
    for (size_t i = 0; i < 32; ++i) largest = std::fmax(largest, std::fabs(floats[g * 32 + i]));
    int32_t sums[2] = {};
    for (size_t i = 0; i < 32; ++i) {
      const double value = static_cast<double>(group.d) * group.q[i];
      ASSERT_LE(std::fabs(value - floats[g * 32 + i]), largest / 253);
      ASSERT_GE(group.q[i], -127);
      sums[i / 16] += group.q[i];
    }
    ASSERT_EQ(group.minus_sum, -(sums[0] + sums[1]));
    ASSERT_EQ(group.minus_sum_16[0], -sums[0]);
    ASSERT_EQ(group.minus_sum_16[1], -sums[1]);
    ASSERT_EQ(group.d_sum, group.d * static_cast<float>(sums[0] + sums[1]));
  }
}

TEST(Quantize, has_the_same_bytes_on_every_instruction_set_and_by_parts) {
  for (const ActivationKind kind : {ActivationKind::kInt8, ActivationKind::kF32}) {
    for (const uint32_t tokens : {1U, 5U, 6U, 7U, 20U}) {
      constexpr uint32_t kK = 160;
      std::vector<float> floats = random_floats(size_t{tokens} * kK, tokens);
      for (size_t i = 0; i < 32; ++i) floats[i] = 0;
      floats[40] = 1e38F;
      floats[70] = 1e-39F;
      const auto expected = pack(kScalarKernels, kind, floats, tokens, kK);
      for (const NamedKernels& set : all_kernels()) {
        EXPECT_TRUE(same_bytes(pack(*set.kernels, kind, floats, tokens, kK), expected)) << set.name;
        const auto parts = make_activations(kind, tokens, kK);
        for (uint32_t t = tokens; t-- > 0;) {
          set.kernels->pack_activations(parts.view, floats.data(), kK, t, t + 1);
        }
        EXPECT_TRUE(same_bytes(parts, expected)) << set.name << " by parts";
      }
    }
  }
}

TEST(Quantize, groups_of_tiny_values_become_zeros) {
  std::vector<float> floats(64, 0x1p-121F);
  for (size_t i = 32; i < 64; ++i) floats[i] = 0x1p-120F;
  for (const NamedKernels& set : all_kernels()) {
    const auto x = pack(*set.kernels, ActivationKind::kInt8, floats, 1, 64);
    EXPECT_EQ(group_of(x, 0).d, 0.0F);
    EXPECT_EQ(group_of(x, 0).q[5], 0);
    EXPECT_EQ(group_of(x, 1).q[5], 127);
  }
}

TEST(Quantize, what_is_not_finite_makes_the_product_not_finite) {
  const RandomMatrix file = random_matrix(Format::kQ8_0, 32, 64, 1);
  const PackedMatrix weights = PackedMatrix::pack(file.file_rows());
  constexpr float kBad[] = {std::numeric_limits<float>::quiet_NaN(),
                            std::numeric_limits<float>::infinity()};
  for (const float bad : kBad) {
    std::vector<float> floats = random_floats(64, 3);
    floats[37] = bad;
    for (const NamedKernels& set : all_kernels()) {
      const auto x = pack(*set.kernels, ActivationKind::kInt8, floats, 1, 64);
      EXPECT_FALSE(std::isfinite(product(*set.kernels, weights, x.view)[0])) << set.name;
    }
  }
}

}  // namespace
}  // namespace pie::kernels
