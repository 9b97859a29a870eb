#pragma once
#include <cstdint>
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

/// A layer's weights in the order of use. Vectors are f32 in the mapped file; null = none.
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
  const model::Tensor* embedding = nullptr;  ///< rows are decoded one by one from the file

  /// kUnsupported names the first matrix of a format that the kernels do not have.
  static Result<void> check(const model::Model& model);
  /// Fails as check() does.
  static Result<NativeWeights> pack(const model::Model& model);
};

/// Decodes row `row` of a matrix of the file to f32.
void decode_row(const model::Tensor& tensor, uint64_t row, float* out);

}  // namespace pie::exec
