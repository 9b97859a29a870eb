#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/mapping.h"
#include "kernels/format.h"

namespace pie::kernels {

/// Memory of many matrices that are read one after the other: blocks (on huge pages, where they are
/// that large) of which each matrix takes a part and keeps its block alive.
class PanelArena {
 public:
  /// Blocks of `block_bytes`, or as large as a matrix that needs more.
  explicit PanelArena(size_t block_bytes = 0) : block_bytes_(block_bytes) {}
  /// Zeroed, 64-byte aligned. Throws std::bad_alloc.
  std::shared_ptr<std::byte> take(size_t bytes);

 private:
  size_t block_bytes_;
  std::shared_ptr<Mapping> block_;
  size_t used_ = 0;  ///< of block_
};

/// Rows of a panel: what one step of a product computes for a few tokens at a time.
constexpr uint32_t kPanelRows = 32;

/// Rows as a GGUF file holds them: `rows` rows of `k` values, one after the other.
struct FileRows {
  Format format = Format::kF32;
  uint32_t rows = 0;
  uint32_t k = 0;
  const void* data = nullptr;  ///< file_bytes(format, rows, k) bytes, any alignment
};

/// A weight matrix, repacked without loss: the same numbers in another order (tile/panels.h). A
/// panel holds 32 rows as one sequential stream over k; missing rows of the last one are zeros.
/// Immutable after packing; threads share it freely.
class PackedMatrix {
 public:
  PackedMatrix() = default;

  /// The rows of all parts, one part after the other (query, key and value, say). All parts have
  /// the format and k of the first one.
  static PackedMatrix concatenate(std::span<const FileRows> parts, PanelArena& arena);
  /// One matrix in memory of its own.
  static PackedMatrix pack(const FileRows& rows);

  /// For gated feed-forward layers: each panel holds 16 rows of `gate` and the same 16 rows of
  /// `up`, so that a product can multiply them as it ends. Same format and shape. rows() counts
  /// those of `gate`.
  static PackedMatrix interleave(const FileRows& gate, const FileRows& up, PanelArena& arena);

  Format format() const { return format_; }
  uint32_t rows() const { return rows_; }
  uint32_t k() const { return k_; }
  bool gated() const { return gated_; }
  uint32_t panel_count() const { return panel_count_; }
  /// Rows of the output that a panel yields: 32, or 16 when gated.
  uint32_t rows_per_panel() const { return gated_ ? kPanelRows / 2 : kPanelRows; }
  size_t panel_bytes() const { return panel_bytes_; }
  size_t size_bytes() const { return panel_bytes_ * panel_count_; }
  /// 64-byte aligned; panel i + 1 follows panel i.
  const std::byte* panel(uint32_t index) const { return memory_.get() + index * panel_bytes_; }

  /// Row `row` as f32 [k], bit for bit what ggml's reference decoding gives (an embedding table
  /// that is the output matrix too needs no second copy). Not for gated matrices.
  void dequantize_row(uint32_t row, float* out) const;

 private:
  enum class Panels { kPlain, kGated };
  PackedMatrix(Format format, uint32_t rows, uint32_t k, Panels panels, PanelArena& arena);
  std::byte* writable_panel(uint32_t index) { return memory_.get() + index * panel_bytes_; }

  Format format_ = Format::kF32;
  bool gated_ = false;
  uint32_t rows_ = 0;
  uint32_t k_ = 0;
  uint32_t panel_count_ = 0;
  size_t panel_bytes_ = 0;
  std::shared_ptr<std::byte> memory_;
};

}  // namespace pie::kernels
