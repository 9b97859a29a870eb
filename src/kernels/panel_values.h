#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/format.h"

namespace pie::kernels {

/// One group of 32 values of a row, as a panel holds it: w[v] = scale * (q[v] - offset) + minimum,
/// scale that of v's part: scale_count parts of equal length.
struct GroupValues {
  uint8_t q[32] = {};
  int offset = 0;
  int scale_count = 1;
  float scales[2] = {};
  bool has_minimum = false;
  float minimum = 0;
};

/// Group `group` of row `row` (0 .. 31) of a panel of quantised values.
GroupValues group_values(Format format, const std::byte* panel, uint32_t row, uint32_t group);

/// Value `i` of row `row` of a panel of F32, F16 or BF16 values.
float panel_value(Format format, const std::byte* panel, uint32_t row, uint32_t i);

}  // namespace pie::kernels
