#include "exec/native/native_weights.h"

#include <fmt/format.h>
#include <ggml.h>

#include <array>
#include <span>

#include "base/check.h"
#include "kernels/format.h"
#include "model/architecture.h"

namespace pie::exec {

using kernels::FileRows;
using kernels::Format;
using kernels::PackedMatrix;
using kernels::PanelArena;
using model::Tensor;
using model::TensorRole;

namespace {

/// A model's matrices follow each other in blocks of this size.
constexpr size_t kArenaBlockBytes = size_t{64} << 20;

std::optional<Format> format_of(uint32_t type) {
  switch (static_cast<ggml_type>(type)) {
    case GGML_TYPE_F32: return Format::kF32;
    case GGML_TYPE_F16: return Format::kF16;
    case GGML_TYPE_BF16: return Format::kBf16;
    case GGML_TYPE_Q4_0: return Format::kQ4_0;
    case GGML_TYPE_Q4_1: return Format::kQ4_1;
    case GGML_TYPE_Q5_0: return Format::kQ5_0;
    case GGML_TYPE_Q5_1: return Format::kQ5_1;
    case GGML_TYPE_Q8_0: return Format::kQ8_0;
    case GGML_TYPE_Q4_K: return Format::kQ4_K;
    case GGML_TYPE_Q5_K: return Format::kQ5_K;
    case GGML_TYPE_Q6_K: return Format::kQ6_K;
    default: return std::nullopt;
  }
}

FileRows rows_of(const Tensor& tensor) {
  return {*format_of(tensor.type), static_cast<uint32_t>(tensor.shape[0]),
          static_cast<uint32_t>(tensor.shape[1]), tensor.data.data()};
}

/// One layer (or the whole model) of a Weights.
class Packer {
 public:
  Packer(const model::Weights& weights, uint32_t layer, PanelArena& arena)
      : weights_(weights), layer_(layer), arena_(arena) {}

  const float* vector(TensorRole role) const {
    const Tensor* tensor = weights_.find(role, layer_);
    return tensor == nullptr ? nullptr : reinterpret_cast<const float*>(tensor->data.data());
  }

  /// Matrices of one format become one.
  NativeProjection join(std::span<const TensorRole> roles) const {
    NativeProjection projection;
    std::vector<FileRows> parts;
    const auto close = [&] {
      if (parts.empty()) return;
      uint32_t rows = 0;
      for (const FileRows& part : parts) rows += part.rows;
      projection.matrices.push_back(
          {PackedMatrix::concatenate(parts, arena_), projection.row_count});
      projection.row_count += rows;
      parts.clear();
    };
    for (const TensorRole role : roles) {
      const FileRows rows = rows_of(weights_.get(role, layer_));
      if (!parts.empty() && parts[0].format != rows.format) close();
      parts.push_back(rows);
    }
    close();
    return projection;
  }

  NativeProjection gate_up() const {
    const FileRows gate = rows_of(weights_.get(TensorRole::kFfnGate, layer_));
    const FileRows up = rows_of(weights_.get(TensorRole::kFfnUp, layer_));
    if (gate.format != up.format) return join(std::array{TensorRole::kFfnGate, TensorRole::kFfnUp});
    NativeProjection projection;
    projection.matrices.push_back({PackedMatrix::interleave(gate, up, arena_), 0});
    projection.row_count = gate.rows;
    return projection;
  }

  /// Biases of the roles after each other, zeros for those that have none.
  void add_bias(std::span<const TensorRole> matrices, std::span<const TensorRole> biases,
                NativeProjection& projection) const {
    bool any = false;
    std::vector<float> bias;
    for (size_t i = 0; i < matrices.size(); ++i) {
      const uint64_t rows = weights_.get(matrices[i], layer_).shape[0];
      const float* values = vector(biases[i]);
      any = any || values != nullptr;
      for (uint64_t r = 0; r < rows; ++r) bias.push_back(values == nullptr ? 0.0F : values[r]);
    }
    if (any) projection.bias = std::move(bias);
  }

 private:
  const model::Weights& weights_;
  const uint32_t layer_;
  PanelArena& arena_;
};

NativeLayer pack_layer(const model::Weights& weights, uint32_t index, PanelArena& arena) {
  using enum TensorRole;
  const Packer packer(weights, index, arena);
  NativeLayer layer;
  constexpr std::array kQkv = {kQuery, kKey, kValue};
  constexpr std::array kQkvBias = {kQueryBias, kKeyBias, kValueBias};
  layer.query_key_value = packer.join(kQkv);
  packer.add_bias(kQkv, kQkvBias, layer.query_key_value);
  layer.attention_output = packer.join(std::array{kAttentionOutput});
  packer.add_bias(std::array{kAttentionOutput}, std::array{kAttentionOutputBias},
                  layer.attention_output);
  layer.gate_up = packer.gate_up();
  layer.down = packer.join(std::array{kFfnDown});
  layer.attention_norm = packer.vector(kAttentionNorm);
  layer.query_norm = packer.vector(kQueryNorm);
  layer.key_norm = packer.vector(kKeyNorm);
  layer.attention_post_norm = packer.vector(kAttentionPostNorm);
  layer.ffn_norm = packer.vector(kFfnNorm);
  layer.ffn_post_norm = packer.vector(kFfnPostNorm);
  return layer;
}

}  // namespace

Result<void> NativeWeights::check(const model::Model& model) {
  for (const auto& [key, tensor] : model.weights().all()) {
    if (tensor.shape.size() == 2 && !format_of(tensor.type)) {
      return Error{ErrorCode::kUnsupported,
                   fmt::format("[{}] got type {}, which the native executor does not have: serve "
                               "this file with executor = \"ggml\"",
                               tensor.name, ggml_type_name(static_cast<ggml_type>(tensor.type)))};
    }
  }
  return {};
}

Result<NativeWeights> NativeWeights::pack(const model::Model& model) {
  PIE_TRY(check(model));
  const model::Weights& weights = model.weights();
  NativeWeights packed;
  PanelArena arena(kArenaBlockBytes);
  for (uint32_t layer = 0; layer < model.architecture().layer_count; ++layer) {
    packed.layers.push_back(pack_layer(weights, layer, arena));
  }
  const Packer packer(weights, 0, arena);
  packed.output_norm = packer.vector(TensorRole::kOutputNorm);
  packed.rope_factors = packer.vector(TensorRole::kRopeFactors);
  packed.output = packer.join(std::array{TensorRole::kOutput});
  packed.embedding = &weights.get(TensorRole::kTokenEmbedding);
  return packed;
}

void decode_row(const Tensor& tensor, uint64_t row, float* out) {
  const auto type = static_cast<ggml_type>(tensor.type);
  const auto width = static_cast<int64_t>(tensor.shape[1]);
  const std::byte* source = tensor.data.data() + row * ggml_row_size(type, width);
  if (type == GGML_TYPE_F32) {
    std::copy_n(reinterpret_cast<const float*>(source), width, out);
  } else {
    ggml_get_type_traits(type)->to_float(source, out, width);
  }
}

}  // namespace pie::exec
