#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "kernels/packed_matrix.h"
#include "model/model.h"
#include "model/weights.h"

namespace pie::exec {

/// A matrix of a group that has the same input, and where its rows go in the group's output.
struct NativeMatrix {
  kernels::PackedMatrix weights;
  uint32_t first_row = 0;
};

/// Matrices that are multiplied with the same activations, as few of them as formats allow.
struct NativeProjection {
  std::vector<NativeMatrix> matrices;
  uint32_t row_count = 0;
  std::vector<float> bias;  ///< f32 [row_count]; empty = none
};

/// A layer's weights in the order of use. Vectors are f32; null = none.
struct NativeLayer {
  const float* attention_norm = nullptr;
  NativeProjection query_key_value;
  const float* query_norm = nullptr;
  const float* key_norm = nullptr;
  NativeProjection attention_output;
  const float* attention_post_norm = nullptr;
  const float* ffn_norm = nullptr;
  /// One gated matrix, or gate and up rows after each other.
  NativeProjection gate_up;
  NativeProjection down;
  const float* ffn_post_norm = nullptr;
};

/// The model's weights, repacked for our kernels.
struct NativeWeights {
  std::vector<NativeLayer> layers;
  const float* output_norm = nullptr;
  NativeProjection output;
  const float* rope_factors = nullptr;
  kernels::PackedMatrix embedding;  ///< a row a token; the output matrix when tied
  std::vector<std::shared_ptr<const std::byte>> vectors;  ///< keeps what the pointers point to

  /// kUnsupported names the first matrix of a format that the kernels do not have.
  static Result<void> check(const model::Model& model);
  /// Reads and repacks: nothing of the file is needed after that. Fails as check() does, kCorrupt
  /// when the file was changed since it was opened. Throws std::bad_alloc.
  static Result<NativeWeights> pack(const model::Model& model);
};

}  // namespace pie::exec
