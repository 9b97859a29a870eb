#pragma once
#include <cstdint>
#include <random>
#include <vector>

#include "kernels/format.h"
#include "kernels/packed_matrix.h"

namespace pie::kernels {

/// Rows as a file holds them, with the numbers that they stand for. Any bit pattern is a valid
/// block but for its f16 scales, which are finite here.
struct RandomMatrix {
  Format format;
  uint32_t rows, k;
  std::vector<uint8_t> bytes;

  FileRows file_rows() const { return {format, rows, k, bytes.data()}; }
};

enum class NumberRange {
  kAny,
  kExtreme,  ///< quantised ones are only the smallest and the largest of the format
};
/// Random rows, the same for the same arguments.
RandomMatrix random_matrix(Format format, uint32_t rows, uint32_t k, uint32_t seed,
                           NumberRange range = NumberRange::kAny);

/// Normal values; one in 50 is 30 times larger, one in 50 zero.
std::vector<float> random_floats(size_t count, uint32_t seed);

/// Row `row` decoded by the definition of the format, independently of the kernels: the GGUF
/// documentation's formulas, one value at a time.
std::vector<double> decode_row(const RandomMatrix& matrix, uint32_t row);

}  // namespace pie::kernels
