#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/format.h"

namespace pie::kernels {

/// Bytes of a panel of rows of `k` values.
size_t panel_bytes(Format format, size_t k);

/// Writes one row of a file as row `row` (0 .. 31) of a panel. The panel's other rows stay; rows
/// that are never written must be zero bytes, which are rows whose products are 0.
void put_row(Format format, std::byte* panel, uint32_t row, const std::byte* file_row, uint32_t k);

/// Row `row` of a panel as f32 [k].
void get_row(Format format, const std::byte* panel, uint32_t row, uint32_t k, float* out);

}  // namespace pie::kernels
