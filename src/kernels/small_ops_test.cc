#include "kernels/small_ops.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "kernels/testing/kernel_sets.h"
#include "kernels/testing/random_matrix.h"

namespace pie::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// Floats between least and most, evenly spaced.
std::vector<float> spread(float least, float most, size_t count) {
  std::vector<float> x(count);
  for (size_t i = 0; i < count; ++i) {
    x[i] = least + (most - least) * static_cast<float>(i) / static_cast<float>(count - 1);
  }
  return x;
}

void expect_relative(const std::vector<float>& x, const std::vector<float>& y,
                     const std::function<double(double)>& exact,
                     const std::function<double(double)>& bound) {
  for (size_t i = 0; i < x.size(); ++i) {
    const double expected = exact(x[i]);
    ASSERT_NEAR(y[i], expected, bound(x[i]) * std::fabs(expected) + 1e-38) << "x = " << x[i];
  }
}

/// Runs f on every set and expects the scalar one's bits.
void expect_same_bits(const std::function<std::vector<float>(const KernelSet&)>& f) {
  const std::vector<float> expected = f(kScalarKernels);
  for (const NamedKernels& set : all_kernels()) {
    const std::vector<float> y = f(*set.kernels);
    ASSERT_EQ(y.size(), expected.size());
    EXPECT_EQ(std::memcmp(y.data(), expected.data(), y.size() * 4), 0) << set.name;
  }
}

/// `function` on each prefix length of interest, so that partial vectors are met.
void expect_same_bits_at_every_length(
    const std::function<void(const KernelSet&, const float*, uint32_t, float*)>& function) {
  for (const uint32_t n : {1U, 2U, 15U, 16U, 17U, 33U, 64U, 103U}) {
    std::vector<float> x = random_floats(n, n);
    expect_same_bits([&](const KernelSet& kernels) {
      std::vector<float> y(n + 3, 7.0F);
      function(kernels, x.data(), n, y.data());
      EXPECT_EQ(y[n], 7.0F);
      return y;
    });
  }
}

TEST(SmallOps, exp_is_within_its_bound) {
  const std::vector<float> x = spread(-87.33F, 88.36F, 400'001);
  std::vector<float> y(x.size());
  exp(best_isa(), x.data(), static_cast<uint32_t>(x.size()), y.data());
  expect_relative(x, y, [](double a) { return std::exp(a); }, [](double) { return 0x1p-22; });
}

TEST(SmallOps, exp_has_the_stated_edges) {
  const std::vector<float> x = {-kInfinity, -1e30F, -87.34F, 0.0F, -0.0F, 88.37F, 1e30F, kNan};
  for (const NamedKernels& set : all_kernels()) {
    std::vector<float> y(x.size());
    set.kernels->exp(x.data(), static_cast<uint32_t>(x.size()), y.data());
    EXPECT_EQ(y[0], 0.0F);
    EXPECT_EQ(y[1], 0.0F);
    EXPECT_EQ(y[2], 0.0F);
    EXPECT_EQ(y[3], 1.0F);
    EXPECT_EQ(y[4], 1.0F);
    EXPECT_EQ(y[6], y[5]);
    EXPECT_TRUE(std::isnan(y[7])) << set.name;
  }
}

TEST(SmallOps, silu_and_gelu_are_within_their_bounds) {
  const std::vector<float> x = spread(-60.0F, 60.0F, 200'001);
  const std::vector<float> ones(x.size(), 1.0F);
  const auto n = static_cast<uint32_t>(x.size());
  std::vector<float> y(x.size());
  silu_mul(best_isa(), x.data(), ones.data(), n, y.data());
  expect_relative(
      x, y, [](double a) { return a / (1 + std::exp(-a)); }, [](double) { return 0x1p-20; });
  const auto u = [](double a) { return std::sqrt(2 / M_PI) * (a + 0.044715 * a * a * a); };
  const std::vector<float> moderate = spread(-6.0F, 60.0F, 200'001);  // exp(-2u) above 1e-37
  gelu_mul(best_isa(), moderate.data(), ones.data(), n, y.data());
  expect_relative(
      moderate, y, [&](double a) { return a / (1 + std::exp(-2 * u(a))); },
      [&](double a) { return (1 + std::fabs(u(a))) * 0x1p-20; });
}

TEST(SmallOps, soft_cap_is_within_its_bound) {
  for (const float cap : {1.0F, 30.0F, 50.0F}) {
    const std::vector<float> x = spread(-5 * cap, 5 * cap, 100'001);
    std::vector<float> y(x.size());
    soft_cap(best_isa(), x.data(), cap, static_cast<uint32_t>(x.size()), y.data());
    expect_relative(
        x, y, [&](double a) { return cap * std::tanh(a / cap); }, [](double) { return 0x1p-21; });
  }
}

TEST(SmallOps, rms_norm_is_within_its_bound) {
  for (const uint32_t n : {1U, 17U, 64U, 576U, 1152U, 2049U}) {
    const std::vector<float> x = random_floats(n, n);
    const std::vector<float> weight = random_floats(n, n + 1);
    double squares = 0;
    for (const float value : x) squares += static_cast<double>(value) * value;
    const double factor = 1 / std::sqrt(squares / n + static_cast<double>(1e-5F));
    std::vector<float> y(n);
    rms_norm(best_isa(), x.data(), weight.data(), 1e-5F, n, y.data());
    for (uint32_t i = 0; i < n; ++i) {
      const double exact = x[i] * factor * weight[i];
      ASSERT_NEAR(y[i], exact, std::fabs(exact) * (n / 32.0 + 10) * 0x1p-24);
    }
  }
}

TEST(SmallOps, rms_norm_pack_equals_norm_then_pack) {
  constexpr uint32_t kK = 96;
  const std::vector<float> x = random_floats(size_t{8} * kK, 1);
  const std::vector<float> weight = random_floats(kK, 2);
  for (const NamedKernels& set : all_kernels()) {
    std::vector<float> normed(x.size());
    for (size_t t = 0; t < 8; ++t) {
      set.kernels->rms_norm(&x[t * kK], weight.data(), 1e-6F, kK, &normed[t * kK]);
    }
    const auto expected = pack(*set.kernels, ActivationKind::kInt8, normed, 8, kK);
    const auto fused = make_activations(ActivationKind::kInt8, 8, kK);
    set.kernels->rms_norm_pack(fused.view, x.data(), kK, weight.data(), 1e-6F, 0, 8);
    EXPECT_EQ(std::memcmp(fused.view.data, expected.view.data,
                          activation_bytes(ActivationKind::kInt8, 8, kK)),
              0)
        << set.name;
  }
}

TEST(SmallOps, rope_turns_pairs_and_leaves_the_rest) {
  for (const RopePairing pairing : {RopePairing::kAdjacent, RopePairing::kHalves}) {
    for (const uint32_t rotated : {2U, 12U, 32U, 64U, 80U}) {
      const RopeShape shape = {pairing, 3, 80, rotated};
      std::vector<float> cosines(rotated / 2);
      std::vector<float> sines(rotated / 2);
      for (uint32_t i = 0; i < rotated / 2; ++i) {
        cosines[i] = std::cos(0.3F * static_cast<float>(i + 1));
        sines[i] = std::sin(0.3F * static_cast<float>(i + 1));
      }
      const std::vector<float> x = random_floats(240, rotated);
      std::vector<float> y = x;
      rope(best_isa(), shape, cosines.data(), sines.data(), y.data());
      std::vector<float> expected = x;
      for (uint32_t h = 0; h < 3; ++h) {
        for (uint32_t i = 0; i < rotated / 2; ++i) {
          const bool adjacent = pairing == RopePairing::kAdjacent;
          const uint32_t a = h * 80 + (adjacent ? 2 * i : i);
          const uint32_t b = adjacent ? a + 1 : a + rotated / 2;
          expected[a] = std::fma(x[a], cosines[i], -(x[b] * sines[i]));
          expected[b] = std::fma(x[b], cosines[i], x[a] * sines[i]);
        }
      }
      EXPECT_EQ(y, expected) << rotated;
      expect_same_bits([&](const KernelSet& kernels) {
        std::vector<float> z = x;
        kernels.rope(shape, cosines.data(), sines.data(), z.data());
        return z;
      });
    }
  }
}

TEST(SmallOps, has_the_same_bits_on_every_instruction_set) {
  const std::vector<float> other = random_floats(200, 9);
  expect_same_bits_at_every_length([&](const KernelSet& k, const float* x, uint32_t n, float* y) {
    k.rms_norm(x, other.data(), 1e-6F, n, y);
  });
  expect_same_bits_at_every_length([&](const KernelSet& k, const float* x, uint32_t n, float* y) {
    k.silu_mul(x, other.data(), n, y);
  });
  expect_same_bits_at_every_length([&](const KernelSet& k, const float* x, uint32_t n, float* y) {
    k.gelu_mul(x, other.data(), n, y);
  });
  expect_same_bits_at_every_length(
      [](const KernelSet& k, const float* x, uint32_t n, float* y) { k.soft_cap(x, 30.0F, n, y); });
  expect_same_bits_at_every_length(
      [](const KernelSet& k, const float* x, uint32_t n, float* y) { k.exp(x, n, y); });
  expect_same_bits_at_every_length(
      [](const KernelSet& k, const float* x, uint32_t n, float* y) { k.add(x, n, y); });
  expect_same_bits_at_every_length(
      [](const KernelSet& k, const float* x, uint32_t n, float* y) { k.scale(x, 0.3F, n, y); });
}

TEST(SmallOps, add_and_scale_do_what_they_say) {
  const std::vector<float> x = {1, 2, 3};
  std::vector<float> y = {10, 20, 30};
  add(best_isa(), x.data(), 3, y.data());
  EXPECT_EQ(y, (std::vector<float>{11, 22, 33}));
  scale(best_isa(), y.data(), 2.0F, 3, y.data());
  EXPECT_EQ(y, (std::vector<float>{22, 44, 66}));
}

}  // namespace
}  // namespace pie::kernels
