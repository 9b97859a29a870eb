#include "exec/native/native_weights.h"

#include <fmt/format.h>
#include <ggml.h>

#include <array>
#include <span>

#include "base/mapping.h"
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

/// A file's matrix in memory, while it is packed.
struct LoadedRows {
  FileRows rows;
  Mapping memory;

  static Result<LoadedRows> load(const Tensor& tensor) {
    LoadedRows loaded;
    PIE_TRY_ASSIGN(loaded.memory, tensor.data.load());
    loaded.rows = {*format_of(tensor.type), static_cast<uint32_t>(tensor.shape[0]),
                   static_cast<uint32_t>(tensor.shape[1]), loaded.memory.get()};
    return loaded;
  }
};

/// One layer (or the whole model) of a Weights.
class Packer {
 public:
  Packer(const model::Weights& weights, uint32_t layer, PanelArena& arena, NativeWeights& packed)
      : weights_(weights), layer_(layer), arena_(arena), packed_(packed) {}

  /// Sets `out` to a vector's values; leaves it null when there is none.
  Result<void> vector(TensorRole role, const float*& out) {
    const Tensor* tensor = weights_.find(role, layer_);
    if (tensor == nullptr) return {};
    const std::shared_ptr<std::byte> memory = arena_.take(tensor->data.size);
    PIE_TRY(tensor->data.read({memory.get(), tensor->data.size}));
    packed_.vectors.push_back(memory);
    out = reinterpret_cast<const float*>(memory.get());
    return {};
  }

  /// Matrices of one format become one.
  Result<NativeProjection> join(std::span<const TensorRole> roles) {
    NativeProjection projection;
    std::vector<LoadedRows> loaded;
    const auto close = [&] {
      std::vector<FileRows> parts;
      uint32_t rows = 0;
      for (const LoadedRows& one : loaded) {
        parts.push_back(one.rows);
        rows += one.rows.rows;
      }
      if (!parts.empty())
        projection.matrices.push_back(
            {PackedMatrix::concatenate(parts, arena_), projection.row_count});
      projection.row_count += rows;
      loaded.clear();
    };
    for (const TensorRole role : roles) {
      const Tensor& tensor = weights_.get(role, layer_);
      if (!loaded.empty() && loaded[0].rows.format != format_of(tensor.type)) close();
      PIE_TRY_ASSIGN(LoadedRows rows, LoadedRows::load(tensor));
      loaded.push_back(std::move(rows));
    }
    close();
    return projection;
  }

  Result<NativeProjection> gate_up() {
    const Tensor& gate = weights_.get(TensorRole::kFfnGate, layer_);
    const Tensor& up = weights_.get(TensorRole::kFfnUp, layer_);
    if (gate.type != up.type) return join(std::array{TensorRole::kFfnGate, TensorRole::kFfnUp});
    PIE_TRY_ASSIGN(const LoadedRows gate_rows, LoadedRows::load(gate));
    PIE_TRY_ASSIGN(const LoadedRows up_rows, LoadedRows::load(up));
    NativeProjection projection;
    projection.matrices.push_back(
        {PackedMatrix::interleave(gate_rows.rows, up_rows.rows, arena_), 0});
    projection.row_count = gate_rows.rows.rows;
    return projection;
  }

  /// Biases of the roles after each other, zeros for those that have none.
  Result<void> add_bias(std::span<const TensorRole> matrices, std::span<const TensorRole> biases,
                        NativeProjection& projection) {
    bool any = false;
    std::vector<float> bias;
    for (size_t i = 0; i < matrices.size(); ++i) {
      const uint64_t rows = weights_.get(matrices[i], layer_).shape[0];
      const float* values = nullptr;
      PIE_TRY(vector(biases[i], values));
      any = any || values != nullptr;
      for (uint64_t r = 0; r < rows; ++r) bias.push_back(values == nullptr ? 0.0F : values[r]);
    }
    if (any) projection.bias = std::move(bias);
    return {};
  }

 private:
  const model::Weights& weights_;
  const uint32_t layer_;
  PanelArena& arena_;
  NativeWeights& packed_;
};

Result<NativeLayer> pack_layer(Packer packer) {
  using enum TensorRole;
  NativeLayer layer;
  constexpr std::array kQkv = {kQuery, kKey, kValue};
  constexpr std::array kQkvBias = {kQueryBias, kKeyBias, kValueBias};
  PIE_TRY_ASSIGN(layer.query_key_value, packer.join(kQkv));
  PIE_TRY(packer.add_bias(kQkv, kQkvBias, layer.query_key_value));
  PIE_TRY_ASSIGN(layer.attention_output, packer.join(std::array{kAttentionOutput}));
  PIE_TRY(packer.add_bias(std::array{kAttentionOutput}, std::array{kAttentionOutputBias},
                          layer.attention_output));
  PIE_TRY_ASSIGN(layer.gate_up, packer.gate_up());
  PIE_TRY_ASSIGN(layer.down, packer.join(std::array{kFfnDown}));
  PIE_TRY(packer.vector(kAttentionNorm, layer.attention_norm));
  PIE_TRY(packer.vector(kQueryNorm, layer.query_norm));
  PIE_TRY(packer.vector(kKeyNorm, layer.key_norm));
  PIE_TRY(packer.vector(kAttentionPostNorm, layer.attention_post_norm));
  PIE_TRY(packer.vector(kFfnNorm, layer.ffn_norm));
  PIE_TRY(packer.vector(kFfnPostNorm, layer.ffn_post_norm));
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
    PIE_TRY_ASSIGN(NativeLayer made, pack_layer({weights, layer, arena, packed}));
    packed.layers.push_back(std::move(made));
  }
  Packer packer(weights, 0, arena, packed);
  PIE_TRY(packer.vector(TensorRole::kOutputNorm, packed.output_norm));
  PIE_TRY(packer.vector(TensorRole::kRopeFactors, packed.rope_factors));
  PIE_TRY_ASSIGN(packed.output, packer.join(std::array{TensorRole::kOutput}));
  packed.embedding = packed.output.matrices[0].weights;
  if (!model.architecture().has_tied_output) {
    PIE_TRY_ASSIGN(const NativeProjection table,
                   packer.join(std::array{TensorRole::kTokenEmbedding}));
    packed.embedding = table.matrices[0].weights;
  }
  return packed;
}

}  // namespace pie::exec
