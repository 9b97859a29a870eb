#include "kernels/packed_matrix.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

#include "base/check.h"
#include "kernels/pack_rows.h"

namespace pie::kernels {

namespace {
constexpr size_t kHugePage = 2 << 20;

/// Zeroed; large matrices on huge pages, where the system gives them.
std::byte* allocate(size_t bytes) {
  const bool large = bytes >= kHugePage;
  const size_t alignment = large ? kHugePage : 64;
  const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* memory = std::aligned_alloc(alignment, rounded);
  PIE_CHECK(memory != nullptr);
  if (large) madvise(memory, rounded, MADV_HUGEPAGE);
  std::memset(memory, 0, rounded);
  return static_cast<std::byte*>(memory);
}

const std::byte* file_row(const FileRows& rows, uint32_t row) {
  return static_cast<const std::byte*>(rows.data) + file_bytes(rows.format, row, rows.k);
}
}  // namespace

void PackedMatrix::FreeMemory::operator()(std::byte* memory) const { std::free(memory); }

PackedMatrix::PackedMatrix(Format format, uint32_t rows, uint32_t k, bool gated)
    : format_(format),
      gated_(gated),
      rows_(rows),
      k_(k),
      panel_count_((rows + rows_per_panel() - 1) / rows_per_panel()),
      panel_bytes_(pie::kernels::panel_bytes(format, k)),
      memory_(allocate(size_bytes() + 64)) {
  PIE_CHECK(k % format_traits(format).block_values == 0);
}

PackedMatrix PackedMatrix::concatenate(std::span<const FileRows> parts) {
  PIE_CHECK(!parts.empty());
  uint32_t rows = 0;
  for (const FileRows& part : parts) {
    PIE_CHECK(part.format == parts[0].format);
    PIE_CHECK(part.k == parts[0].k);
    rows += part.rows;
  }
  PackedMatrix matrix(parts[0].format, rows, parts[0].k, false);
  uint32_t to = 0;
  for (const FileRows& part : parts) {
    for (uint32_t row = 0; row < part.rows; ++row, ++to) {
      put_row(part.format, matrix.writable_panel(to / kPanelRows), to % kPanelRows,
              file_row(part, row), part.k);
    }
  }
  return matrix;
}

PackedMatrix PackedMatrix::interleave(const FileRows& gate, const FileRows& up) {
  PIE_CHECK(gate.format == up.format);
  PIE_CHECK(gate.k == up.k);
  PIE_CHECK(gate.rows == up.rows);
  constexpr uint32_t kHalf = kPanelRows / 2;
  PackedMatrix matrix(gate.format, gate.rows, gate.k, true);
  for (uint32_t row = 0; row < gate.rows; ++row) {
    std::byte* panel = matrix.writable_panel(row / kHalf);
    put_row(gate.format, panel, row % kHalf, file_row(gate, row), gate.k);
    put_row(up.format, panel, kHalf + row % kHalf, file_row(up, row), up.k);
  }
  return matrix;
}

void PackedMatrix::dequantize_row(uint32_t row, float* out) const {
  PIE_CHECK(!gated_);
  PIE_CHECK(row < rows_);
  get_row(format_, panel(row / kPanelRows), row % kPanelRows, k_, out);
}

}  // namespace pie::kernels
