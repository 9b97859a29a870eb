#include "kernels/packed_matrix.h"

#include <algorithm>

#include "base/check.h"
#include "kernels/pack_rows.h"

namespace pie::kernels {

namespace {
/// Behind each matrix: a product asks ahead for what follows.
constexpr size_t kBehind = 64;

const std::byte* file_row(const FileRows& rows, uint32_t row) {
  return static_cast<const std::byte*>(rows.data) + file_bytes(rows.format, row, rows.k);
}
}  // namespace

std::shared_ptr<std::byte> PanelArena::take(size_t bytes) {
  const size_t rounded = (bytes + 63) / 64 * 64;
  if (block_ == nullptr || block_->size() - used_ < rounded) {
    block_ = std::make_shared<Mapping>(std::max(rounded, block_bytes_));
    used_ = 0;
  }
  std::byte* const begin = block_->get() + used_;
  used_ += rounded;
  return {block_, begin};
}

PackedMatrix::PackedMatrix(Format format, uint32_t rows, uint32_t k, Panels panels,
                           PanelArena& arena)
    : format_(format),
      gated_(panels == Panels::kGated),
      rows_(rows),
      k_(k),
      panel_count_((rows + rows_per_panel() - 1) / rows_per_panel()),
      panel_bytes_(pie::kernels::panel_bytes(format, k)),
      memory_(arena.take(size_bytes() + kBehind)) {
  PIE_CHECK(k % format_traits(format).block_values == 0);
}

PackedMatrix PackedMatrix::concatenate(std::span<const FileRows> parts, PanelArena& arena) {
  PIE_CHECK(!parts.empty());
  uint32_t rows = 0;
  for (const FileRows& part : parts) {
    PIE_CHECK(part.format == parts[0].format);
    PIE_CHECK(part.k == parts[0].k);
    rows += part.rows;
  }
  PackedMatrix matrix(parts[0].format, rows, parts[0].k, Panels::kPlain, arena);
  uint32_t to = 0;
  for (const FileRows& part : parts) {
    for (uint32_t row = 0; row < part.rows; ++row, ++to) {
      put_row(part.format, matrix.writable_panel(to / kPanelRows), to % kPanelRows,
              file_row(part, row), part.k);
    }
  }
  return matrix;
}

PackedMatrix PackedMatrix::pack(const FileRows& rows) {
  PanelArena arena;
  return concatenate({&rows, 1}, arena);
}

PackedMatrix PackedMatrix::interleave(const FileRows& gate, const FileRows& up, PanelArena& arena) {
  PIE_CHECK(gate.format == up.format);
  PIE_CHECK(gate.k == up.k);
  PIE_CHECK(gate.rows == up.rows);
  constexpr uint32_t kHalf = kPanelRows / 2;
  PackedMatrix matrix(gate.format, gate.rows, gate.k, Panels::kGated, arena);
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
