#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "base/mapping.h"
#include "base/thread_pool.h"
#include "exec/native/native_weights.h"
#include "kernels/isa.h"
#include "kernels/quantize.h"

namespace pie::exec {

/// How rows become the activations of a product.
struct PackSource {
  const float* x = nullptr;  ///< row t at x + t * stride
  size_t stride = 0;
  uint32_t row_count = 0;
  uint32_t width = 0;
  const float* norm = nullptr;  ///< scale of the RMS norm that comes first; null = none
  float epsilon = 0.0F;
};

/// Activations of one input for every kind of weights that a projection has.
class ActivationSet {
 public:
  const kernels::Activations& of(const NativeMatrix& matrix) const {
    return kinds_[index_of(matrix)];
  }

 private:
  friend class ActivationStore;
  static constexpr size_t kKinds = 2;
  static size_t index_of(const NativeMatrix& matrix) {
    return static_cast<size_t>(kernels::format_traits(matrix.weights.format()).activations);
  }
  std::array<kernels::Activations, kKinds> kinds_;
};

/// Memory for the activations of a step's products. Rows of one tile are packed by every thread
/// for itself, which saves a meeting; more rows once, by all threads together.
class ActivationStore {
 public:
  ActivationStore(kernels::Isa isa, uint32_t rows_max, uint32_t width_max, uint32_t thread_count);

  /// Packs what the matrices of `projection` ask for; the last one's stay until the next pack().
  /// Every thread of the team calls it, after a meeting that makes the source complete (and ended
  /// the use of the last ones); the result may be used at once.
  ActivationSet pack(Team& team, const NativeProjection& projection, const PackSource& source);

 private:
  struct Memory {
    std::array<Mapping, ActivationSet::kKinds> kinds;
    Mapping normed;  ///< f32 rows, on their way to the kind kF32
  };
  static Memory allocate(uint32_t rows, uint32_t width);
  void pack_rows(const kernels::Activations& out, const PackSource& source, float* normed,
                 uint32_t begin, uint32_t end) const;

  const kernels::Isa isa_;
  Memory shared_;
  std::vector<Memory> private_;  ///< per thread
};

}  // namespace pie::exec
