#include "kernels/low_rank.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "kernels/testing/kernel_sets.h"
#include "kernels/testing/random_matrix.h"

namespace pie::kernels {
namespace {

/// Ranks and lengths that meet partial vectors and groups.
constexpr uint32_t kRanks[] = {1, 3, 4, 7, 16};
constexpr uint32_t kLengths[] = {1, 15, 16, 33, 64, 130, 576};

TEST(LowRank, both_halves_are_the_sums_within_their_bounds) {
  for (const uint32_t rank : kRanks) {
    for (const uint32_t n : kLengths) {
      const auto a = random_floats(size_t{rank} * n, 1);
      const auto x = random_floats(n, 2);
      std::vector<float> u(rank);
      low_rank_in(best_isa(), a.data(), 1.5F, rank, n, x.data(), u.data());
      for (uint32_t j = 0; j < rank; ++j) {
        double sum = 0, size = 0;
        for (uint32_t k = 0; k < n; ++k) {
          const double term = double{a[j * n + k]} * x[k];
          sum += term;
          size += std::fabs(term);
        }
        ASSERT_NEAR(u[j], 1.5 * sum, (n / 16 + 6) * 0x1p-24 * 1.5 * size) << rank << ' ' << n;
      }
      std::vector<float> y(n);
      low_rank_out(best_isa(), a.data(), rank, n, u.data(), y.data());
      for (uint32_t i = 0; i < n; ++i) {
        double sum = 0, size = 0;
        for (uint32_t j = 0; j < rank; ++j) {
          const double term = double{u[j]} * a[j * n + i];
          sum += term;
          size += std::fabs(term);
        }
        ASSERT_NEAR(y[i], sum, rank * 0x1p-24 * size) << rank << ' ' << n;
      }
    }
  }
}

TEST(LowRank, every_instruction_set_has_the_same_bits_and_stays_within_its_memory) {
  for (const uint32_t rank : kRanks) {
    for (const uint32_t n : kLengths) {
      const auto a = random_floats(size_t{rank} * n, 3);
      const auto x = random_floats(n, 4);
      const auto compute = [&](const KernelSet& kernels) {
        std::vector<float> found(rank + 1 + n + 1, 7.0F);
        kernels.low_rank_in(a.data(), 0.7F, rank, n, x.data(), found.data());
        EXPECT_EQ(found[rank], 7.0F);
        kernels.low_rank_out(a.data(), rank, n, found.data(), found.data() + rank + 1);
        EXPECT_EQ(found[rank + 1 + n], 7.0F);
        return found;
      };
      const auto expected = compute(kScalarKernels);
      for (const NamedKernels& set : all_kernels()) {
        const auto found = compute(*set.kernels);
        EXPECT_EQ(0, std::memcmp(found.data(), expected.data(), found.size() * sizeof(float)))
            << set.name << ' ' << rank << ' ' << n;
      }
    }
  }
}

/// A row of A has a sum of its own: who computes it beside which others does not matter.
TEST(LowRank, a_component_does_not_depend_on_the_rank) {
  constexpr uint32_t kRank = 7, kLength = 100;
  const auto a = random_floats(size_t{kRank} * kLength, 5);
  const auto x = random_floats(kLength, 6);
  std::vector<float> together(kRank), alone(kRank);
  low_rank_in(best_isa(), a.data(), 1.0F, kRank, kLength, x.data(), together.data());
  for (uint32_t j = 0; j < kRank; ++j)
    low_rank_in(best_isa(), a.data() + size_t{j} * kLength, 1.0F, 1, kLength, x.data(), &alone[j]);
  EXPECT_EQ(together, alone);
}

}  // namespace
}  // namespace pie::kernels
