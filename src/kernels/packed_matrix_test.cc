#include "kernels/packed_matrix.h"

#include <gtest/gtest.h>

#include <cstring>

#include "kernels/pack_rows.h"
#include "kernels/testing/random_matrix.h"

namespace pie::kernels {
namespace {

const Format kAllFormats[] = {Format::kF32,  Format::kF16,  Format::kBf16, Format::kQ4_0,
                              Format::kQ4_1, Format::kQ5_0, Format::kQ5_1, Format::kQ8_0,
                              Format::kQ4_K, Format::kQ5_K, Format::kQ6_K};

class PackedMatrixTest : public testing::TestWithParam<Format> {
 protected:
  uint32_t block() const { return format_traits(GetParam()).block_values; }
  uint32_t k() const { return block() == 1 ? 37 : 3 * block(); }
};

void expect_row(const PackedMatrix& matrix, uint32_t row, const std::vector<double>& expected) {
  std::vector<float> decoded(matrix.k());
  matrix.dequantize_row(row, decoded.data());
  for (uint32_t i = 0; i < matrix.k(); ++i) {
    // The formula in double is exact, so rounding it once is the only right f32.
    ASSERT_EQ(decoded[i], static_cast<float>(expected[i])) << "row " << row << " value " << i;
  }
}

TEST_P(PackedMatrixTest, every_row_decodes_to_what_the_file_says) {
  for (const NumberRange range : {NumberRange::kAny, NumberRange::kExtreme}) {
    const RandomMatrix file = random_matrix(GetParam(), 71, k(), 1, range);
    const PackedMatrix matrix = PackedMatrix::pack(file.file_rows());
    EXPECT_EQ(matrix.panel_count(), 3U);
    for (uint32_t row = 0; row < file.rows; ++row) expect_row(matrix, row, decode_row(file, row));
  }
}

TEST_P(PackedMatrixTest, parts_follow_each_other) {
  const RandomMatrix a = random_matrix(GetParam(), 33, k(), 2);
  const RandomMatrix b = random_matrix(GetParam(), 7, k(), 3);
  const FileRows parts[] = {a.file_rows(), b.file_rows()};
  PanelArena arena;
  const PackedMatrix matrix = PackedMatrix::concatenate(parts, arena);
  EXPECT_EQ(matrix.rows(), 40U);
  expect_row(matrix, 32, decode_row(a, 32));
  for (uint32_t row = 0; row < b.rows; ++row) expect_row(matrix, 33 + row, decode_row(b, row));
}

TEST_P(PackedMatrixTest, gate_and_up_share_panels) {
  const RandomMatrix gate = random_matrix(GetParam(), 19, k(), 4);
  const RandomMatrix up = random_matrix(GetParam(), 19, k(), 5);
  PanelArena arena;
  const PackedMatrix matrix = PackedMatrix::interleave(gate.file_rows(), up.file_rows(), arena);
  EXPECT_EQ(matrix.rows(), 19U);
  EXPECT_EQ(matrix.panel_count(), 2U);
  std::vector<float> decoded(k());
  for (uint32_t row = 0; row < 19; ++row) {
    for (const auto& [file, offset] : {std::pair{&gate, 0U}, std::pair{&up, 16U}}) {
      get_row(GetParam(), matrix.panel(row / 16), row % 16 + offset, k(), decoded.data());
      const std::vector<double> expected = decode_row(*file, row);
      for (uint32_t i = 0; i < k(); ++i) ASSERT_EQ(decoded[i], static_cast<float>(expected[i]));
    }
  }
}

TEST_P(PackedMatrixTest, matrices_of_one_arena_share_blocks_and_outlive_it) {
  const RandomMatrix a = random_matrix(GetParam(), 33, k(), 7);
  const RandomMatrix b = random_matrix(GetParam(), 5, k(), 8);
  const FileRows parts[] = {a.file_rows(), b.file_rows()};
  std::vector<PackedMatrix> matrices;
  {
    PanelArena arena(1 << 20);
    for (const FileRows& part : parts)
      matrices.push_back(PackedMatrix::concatenate({&part, 1}, arena));
  }
  EXPECT_EQ(matrices[1].panel(0), matrices[0].panel(0) + matrices[0].size_bytes() + 64);
  for (uint32_t row = 0; row < a.rows; ++row) expect_row(matrices[0], row, decode_row(a, row));
  matrices.erase(matrices.begin());
  for (uint32_t row = 0; row < b.rows; ++row) expect_row(matrices[0], row, decode_row(b, row));
}

TEST_P(PackedMatrixTest, missing_rows_are_zero_bytes) {
  const RandomMatrix file = random_matrix(GetParam(), 1, k(), 6);
  const PackedMatrix matrix = PackedMatrix::pack(file.file_rows());
  std::vector<float> decoded(k());
  for (uint32_t row = 1; row < kPanelRows; ++row) {
    get_row(GetParam(), matrix.panel(0), row, k(), decoded.data());
    for (const float value : decoded) ASSERT_EQ(value, 0.0F);
  }
}

INSTANTIATE_TEST_SUITE_P(All, PackedMatrixTest, testing::ValuesIn(kAllFormats),
                         [](const auto& test) {
                           return std::string(format_traits(test.param).name);
                         });

TEST(PackedMatrix, is_as_large_as_the_file_but_for_scales_of_six_bits) {
  for (const Format format : kAllFormats) {
    const size_t bytes = panel_bytes(format, 512);
    const size_t of_file = file_bytes(format, kPanelRows, 512);
    const bool wider = format == Format::kQ4_K || format == Format::kQ5_K;
    EXPECT_EQ(bytes, of_file + (wider ? kPanelRows * 2 * 4 : 0)) << format_traits(format).name;
  }
}

}  // namespace
}  // namespace pie::kernels
