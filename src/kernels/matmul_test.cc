#include "kernels/matmul.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "kernels/panel_values.h"
#include "kernels/testing/kernel_sets.h"
#include "kernels/testing/random_matrix.h"
#include "kernels/tile/activation_panel.h"

namespace pie::kernels {
namespace {

const Format kAllFormats[] = {Format::kF32,  Format::kF16,  Format::kBf16, Format::kQ4_0,
                              Format::kQ4_1, Format::kQ5_0, Format::kQ5_1, Format::kQ8_0,
                              Format::kQ4_K, Format::kQ5_K, Format::kQ6_K};
const uint32_t kTokenCounts[] = {1,  2,  3,  4,  5,  6,  7,   8,   13, 15,
                                 16, 17, 31, 32, 33, 64, 127, 128, 257};

/// The values that packed activations stand for, in double: read by the layout's description.
std::vector<double> unpack_token(const Activations& x, uint32_t token) {
  const uint32_t tile = tile_of(x.token_count, token);
  const uint32_t first = tile_begin(x.token_count, tile);
  const size_t tokens = tile_begin(x.token_count, tile + 1) - first;
  const std::byte* data = x.data + first * activation_token_bytes(x.kind, x.k);
  std::vector<double> values(x.k);
  for (uint32_t i = 0; i < x.k; ++i) {
    float number = 0;
    if (x.kind == ActivationKind::kF32) {
      std::memcpy(&number, data + (i * tokens + token - first) * 4, 4);
      values[i] = number;
      continue;
    }
    const std::byte* group = data + i / 32 * tokens * 52;
    std::memcpy(&number, group + tokens * 32 + (token - first) * 4, 4);
    const auto q = static_cast<int8_t>(group[(token - first) * 32 + i % 32]);
    values[i] = static_cast<double>(number) * q;
  }
  return values;
}

/// Sum over the terms' absolute values: matmul_error_factor says what a term is.
double sum_of_terms(const PackedMatrix& weights, uint32_t row, const std::vector<double>& x) {
  const std::byte* panel = weights.panel(row / kPanelRows);
  double sum = 0;
  if (format_traits(weights.format()).activations == ActivationKind::kF32) {
    for (uint32_t i = 0; i < weights.k(); ++i) {
      sum += std::fabs(panel_value(weights.format(), panel, row % kPanelRows, i) * x[i]);
    }
    return sum;
  }
  for (uint32_t g = 0; g < weights.k() / 32; ++g) {
    const GroupValues w = group_values(weights.format(), panel, row % kPanelRows, g);
    const int length = 32 / w.scale_count;
    double of_minimum = 0;
    for (int part = 0; part < w.scale_count; ++part) {
      double term = 0;
      for (int v = part * length; v < (part + 1) * length; ++v) {
        term += x[g * 32 + static_cast<uint32_t>(v)] * w.scales[part] * (w.q[v] - w.offset);
        of_minimum += x[g * 32 + static_cast<uint32_t>(v)] * w.minimum;
      }
      sum += std::fabs(term);
    }
    sum += std::fabs(of_minimum);
  }
  return sum;
}

void expect_close_to_exact(const RandomMatrix& file, const PackedMatrix& weights,
                           const Activations& activations, const std::vector<float>& y) {
  const double factor = matmul_error_factor(weights.format(), weights.k());
  for (uint32_t t = 0; t < activations.token_count; ++t) {
    const std::vector<double> x = unpack_token(activations, t);
    for (uint32_t row = 0; row < file.rows; ++row) {
      const std::vector<double> w = decode_row(file, row);
      double exact = 0;
      for (uint32_t i = 0; i < file.k; ++i) exact += w[i] * x[i];
      const double bound = factor * sum_of_terms(weights, row, x) + 1e-36;
      ASSERT_NEAR(y[size_t{t} * file.rows + row], exact, bound)
          << format_traits(file.format).name << " k " << file.k << " row " << row << " token " << t
          << " of " << activations.token_count;
    }
  }
}

std::vector<float> first_tokens(const std::vector<float>& x, uint32_t tokens, uint32_t k) {
  return {x.begin(), x.begin() + static_cast<std::ptrdiff_t>(size_t{tokens} * k)};
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * 4) == 0;
}

class MatmulTest : public testing::TestWithParam<Format> {
 protected:
  ActivationKind kind() const { return format_traits(GetParam()).activations; }
  uint32_t block() const { return format_traits(GetParam()).block_values; }
  /// A short row, and one that is no multiple of 256 where the format allows it.
  std::vector<uint32_t> lengths() const {
    if (block() == 1) return {1, 67};
    return block() == 32 ? std::vector<uint32_t>{32, 288} : std::vector<uint32_t>{256, 512};
  }
};

TEST_P(MatmulTest, is_within_its_bound_of_the_exact_product) {
  for (const uint32_t k : lengths()) {
    for (const NumberRange range : {NumberRange::kAny, NumberRange::kExtreme}) {
      const RandomMatrix file = random_matrix(GetParam(), 35, k, k, range);
      const PackedMatrix weights = PackedMatrix::pack(file.file_rows());
      const auto x = pack(kScalarKernels, kind(), random_floats(size_t{9} * k, 7), 9, k);
      expect_close_to_exact(file, weights, x.view, product(kScalarKernels, weights, x.view));
    }
  }
}

TEST_P(MatmulTest, has_the_same_bits_on_every_instruction_set) {
  for (const uint32_t k : lengths()) {
    for (const NumberRange range : {NumberRange::kAny, NumberRange::kExtreme}) {
      const RandomMatrix file = random_matrix(GetParam(), 67, k, 11 + k, range);
      const PackedMatrix weights = PackedMatrix::pack(file.file_rows());
      for (const uint32_t tokens : {1U, 2U, 3U, 4U, 5U, 6U, 13U}) {
        std::vector<float> floats = random_floats(size_t{tokens} * k, tokens);
        if (range == NumberRange::kExtreme) {
          for (size_t i = 0; i < floats.size(); ++i) floats[i] = i * 7 % 3 == 0 ? -1.0F : 1.0F;
        }
        const auto x = pack(kScalarKernels, kind(), floats, tokens, k);
        const std::vector<float> expected = product(kScalarKernels, weights, x.view);
        for (const NamedKernels& set : all_kernels()) {
          EXPECT_TRUE(same_bits(product(*set.kernels, weights, x.view), expected))
              << set.name << " k " << k << " tokens " << tokens << " range "
              << static_cast<int>(range);
        }
      }
    }
  }
}

TEST_P(MatmulTest, has_the_same_bits_whatever_the_batch_and_the_panel_range) {
  const KernelSet& kernels = kernel_set(best_isa());
  const uint32_t k = lengths().back();
  const RandomMatrix file = random_matrix(GetParam(), 75, k, 3);
  const PackedMatrix weights = PackedMatrix::pack(file.file_rows());
  const std::vector<float> floats = random_floats(size_t{257} * k, 5);
  const auto all = pack(kernels, kind(), floats, 257, k);
  const std::vector<float> whole = product(kernels, weights, all.view);
  expect_close_to_exact(file, weights, all.view, whole);
  for (const uint32_t tokens : kTokenCounts) {
    const auto x = pack(kernels, kind(), first_tokens(floats, tokens, k), tokens, k);
    std::vector<float> y(size_t{tokens} * file.rows);
    for (uint32_t panel = weights.panel_count(); panel-- > 0;) {  // one by one, from the last
      multiply(kernels, weights, x.view, panel, panel + 1, {.y = y.data(), .stride = file.rows});
    }
    EXPECT_TRUE(same_bits(y, first_tokens(whole, tokens, file.rows))) << tokens << " tokens";
  }
}

TEST_P(MatmulTest, writes_nothing_beyond_its_rows_and_panels) {
  const uint32_t k = lengths().front();
  const RandomMatrix file = random_matrix(GetParam(), 70, k, 9);
  const PackedMatrix weights = PackedMatrix::pack(file.file_rows());
  for (const NamedKernels& set : all_kernels()) {
    const auto x = pack(*set.kernels, kind(), random_floats(size_t{7} * k, 1), 7, k);
    constexpr float kMark = 1234.5F;
    std::vector<float> y(size_t{7} * 80, kMark);
    multiply(*set.kernels, weights, x.view, 1, 3, {.y = y.data(), .stride = 80});
    for (size_t i = 0; i < y.size(); ++i) {
      const bool inside = i % 80 >= 32 && i % 80 < 70;
      ASSERT_EQ(y[i] == kMark, !inside) << set.name << " at " << i;
    }
  }
}

TEST_P(MatmulTest, zero_activations_give_zero) {
  const uint32_t k = lengths().back();
  const RandomMatrix file = random_matrix(GetParam(), 33, k, 10, NumberRange::kExtreme);
  const PackedMatrix weights = PackedMatrix::pack(file.file_rows());
  for (const NamedKernels& set : all_kernels()) {
    const auto x = pack(*set.kernels, kind(), std::vector<float>(size_t{3} * k), 3, k);
    for (const float y : product(*set.kernels, weights, x.view)) ASSERT_EQ(y, 0.0F) << set.name;
  }
}

TEST_P(MatmulTest, epilogues_add_biases_and_residuals) {
  const uint32_t k = lengths().back();
  const RandomMatrix file = random_matrix(GetParam(), 45, k, 12);
  const PackedMatrix weights = PackedMatrix::pack(file.file_rows());
  const std::vector<float> bias = random_floats(45, 13);
  const std::vector<float> residual = random_floats(size_t{8} * 45, 14);
  for (const NamedKernels& set : all_kernels()) {
    const auto x = pack(*set.kernels, kind(), random_floats(size_t{8} * k, 1), 8, k);
    const std::vector<float> plain = product(*set.kernels, weights, x.view);
    std::vector<float> y = residual;
    multiply(*set.kernels, weights, x.view, 0, 2,
             {.op = Epilogue::Op::kAdd, .y = y.data(), .stride = 45, .bias = bias.data()});
    for (size_t i = 0; i < y.size(); ++i) {
      const float with_bias = plain[i] + bias[i % 45];
      ASSERT_EQ(y[i], residual[i] + with_bias) << set.name << " at " << i;
    }
  }
}

TEST_P(MatmulTest, gated_products_are_activation_times_up) {
  const uint32_t k = lengths().front();
  const RandomMatrix gate = random_matrix(GetParam(), 21, k, 15);
  const RandomMatrix up = random_matrix(GetParam(), 21, k, 16);
  PanelArena arena;
  const PackedMatrix both = PackedMatrix::interleave(gate.file_rows(), up.file_rows(), arena);
  const auto x = pack(kScalarKernels, kind(), random_floats(size_t{8} * k, 1), 8, k);
  const auto g = product(kScalarKernels, PackedMatrix::pack(gate.file_rows()), x.view);
  const auto u = product(kScalarKernels, PackedMatrix::pack(up.file_rows()), x.view);
  for (const NamedKernels& set : all_kernels()) {
    std::vector<float> y(g.size());
    std::vector<float> expected(g.size());
    const auto count = static_cast<uint32_t>(g.size());
    multiply(*set.kernels, both, x.view, 0, 2,
             {.op = Epilogue::Op::kSiluMul, .y = y.data(), .stride = 21});
    kScalarKernels.silu_mul(g.data(), u.data(), count, expected.data());
    EXPECT_TRUE(same_bits(y, expected)) << set.name;
    multiply(*set.kernels, both, x.view, 0, 2,
             {.op = Epilogue::Op::kGeluMul, .y = y.data(), .stride = 21});
    kScalarKernels.gelu_mul(g.data(), u.data(), count, expected.data());
    EXPECT_TRUE(same_bits(y, expected)) << set.name;
  }
}

/// Token 1 has none of its own, the others have.
TEST_P(MatmulTest, what_is_a_tokens_own_is_added_before_the_activation) {
  const uint32_t k = lengths().front();
  const RandomMatrix gate = random_matrix(GetParam(), 21, k, 15);
  const RandomMatrix up = random_matrix(GetParam(), 21, k, 16);
  PanelArena arena;
  const PackedMatrix both = PackedMatrix::interleave(gate.file_rows(), up.file_rows(), arena);
  const auto x = pack(kScalarKernels, kind(), random_floats(size_t{8} * k, 1), 8, k);
  auto g = product(kScalarKernels, PackedMatrix::pack(gate.file_rows()), x.view);
  auto u = product(kScalarKernels, PackedMatrix::pack(up.file_rows()), x.view);
  const std::vector<float> plain = g;
  constexpr uint32_t kBefore = 5;
  const std::vector<float> own = random_floats(size_t{8} * (kBefore + 42), 17);
  std::vector<const float*> of_token(8);
  for (size_t t = 0; t < 8; ++t) {
    if (t == 1) continue;
    of_token[t] = own.data() + t * (kBefore + 42);
    for (size_t r = 0; r < 21; ++r) {
      g[t * 21 + r] += of_token[t][kBefore + r];
      u[t * 21 + r] += of_token[t][kBefore + 21 + r];
    }
  }
  std::vector<float> expected(g.size());
  kScalarKernels.silu_mul(g.data(), u.data(), static_cast<uint32_t>(g.size()), expected.data());
  for (const NamedKernels& set : all_kernels()) {
    std::vector<float> y(g.size());
    multiply(*set.kernels, both, x.view, 0, 2,
             {.op = Epilogue::Op::kSiluMul,
              .y = y.data(),
              .stride = 21,
              .token_bias = of_token.data(),
              .token_bias_begin = kBefore});
    EXPECT_TRUE(same_bits(y, expected)) << set.name;
    multiply(
        *set.kernels, PackedMatrix::pack(gate.file_rows()), x.view, 0, 1,
        {.y = y.data(), .stride = 21, .token_bias = of_token.data(), .token_bias_begin = kBefore});
    EXPECT_TRUE(same_bits(y, g)) << set.name;
    EXPECT_TRUE(std::equal(y.begin() + 21, y.begin() + 42, plain.begin() + 21)) << set.name;
  }
}

INSTANTIATE_TEST_SUITE_P(All, MatmulTest, testing::ValuesIn(kAllFormats), [](const auto& test) {
  return std::string(format_traits(test.param).name);
});

TEST(Matmul, goes_through_the_best_instruction_set) {
  const RandomMatrix file = random_matrix(Format::kQ4_1, 40, 64, 1);
  const PackedMatrix weights = PackedMatrix::pack(file.file_rows());
  const std::vector<float> floats = random_floats(size_t{3} * 64, 2);
  PackedActivations x = make_activations(ActivationKind::kInt8, 3, 64);
  pack_activations(best_isa(), x.view, floats.data(), 64, 0, 3);
  std::vector<float> y(size_t{3} * 40);
  matmul(best_isa(), weights, x.view, 0, 2, {.y = y.data(), .stride = 40});
  EXPECT_TRUE(same_bits(y, product(kScalarKernels, weights, x.view)));
}

}  // namespace
}  // namespace pie::kernels
