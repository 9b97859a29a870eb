#include "model/weights.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <ggml.h>

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "model/architecture.h"
#include "model/gguf_file.h"

namespace pie::model {
namespace {

enum class Scope : uint8_t { kModel, kLayer };

struct Expected {
  TensorRole role;
  Scope scope;
  std::string_view name;  ///< in a layer: after "blk.N."
  std::vector<uint64_t> shape;
  bool is_wanted;
  bool is_vector;  ///< added or multiplied element by element: must be F32
};

std::vector<Expected> expected_tensors(const Architecture& a) {
  using enum TensorRole;
  const uint64_t embed = a.embedding_size;
  const uint64_t vocab = a.vocab_size;
  const uint64_t ffn = a.ffn_size;
  const uint64_t q = uint64_t{a.head_count} * a.key_size;
  const uint64_t k = uint64_t{a.kv_head_count} * a.key_size;
  const uint64_t v = uint64_t{a.kv_head_count} * a.value_size;
  const uint64_t out = uint64_t{a.head_count} * a.value_size;
  const Scope model = Scope::kModel;
  const Scope layer = Scope::kLayer;
  return {
      {kTokenEmbedding, model, "token_embd.weight", {vocab, embed}, true, false},
      {kOutputNorm, model, "output_norm.weight", {embed}, true, true},
      {kOutput, model, "output.weight", {vocab, embed}, !a.has_tied_output, false},
      {kRopeFactors,
       model,
       "rope_freqs.weight",
       {a.rope.dims / 2},
       a.rope.has_frequency_factors,
       true},
      {kAttentionNorm, layer, "attn_norm.weight", {embed}, true, true},
      {kQuery, layer, "attn_q.weight", {q, embed}, true, false},
      {kKey, layer, "attn_k.weight", {k, embed}, true, false},
      {kValue, layer, "attn_v.weight", {v, embed}, true, false},
      {kQueryBias, layer, "attn_q.bias", {q}, a.has_qkv_bias, true},
      {kKeyBias, layer, "attn_k.bias", {k}, a.has_qkv_bias, true},
      {kValueBias, layer, "attn_v.bias", {v}, a.has_qkv_bias, true},
      {kQueryNorm, layer, "attn_q_norm.weight", {a.key_size}, a.has_qk_norm, true},
      {kKeyNorm, layer, "attn_k_norm.weight", {a.key_size}, a.has_qk_norm, true},
      {kAttentionOutput, layer, "attn_output.weight", {embed, out}, true, false},
      {kAttentionOutputBias, layer, "attn_output.bias", {embed}, a.has_output_bias, true},
      {kAttentionPostNorm, layer, "post_attention_norm.weight", {embed}, a.has_post_norms, true},
      {kFfnNorm, layer, "ffn_norm.weight", {embed}, true, true},
      {kFfnGate, layer, "ffn_gate.weight", {ffn, embed}, true, false},
      {kFfnUp, layer, "ffn_up.weight", {ffn, embed}, true, false},
      {kFfnDown, layer, "ffn_down.weight", {embed, ffn}, true, false},
      {kFfnPostNorm, layer, "post_ffw_norm.weight", {embed}, a.has_post_norms, true},
  };
}

Result<void> check(const GgufTensor& tensor, const Expected& expected) {
  if (tensor.shape != expected.shape) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("[{}] got shape [{}], expected [{}]", tensor.name,
                             fmt::join(tensor.shape, ", "), fmt::join(expected.shape, ", "))};
  }
  const auto type = static_cast<ggml_type>(tensor.type);
  const bool is_number = type == GGML_TYPE_F32 || type == GGML_TYPE_F16 || type == GGML_TYPE_BF16;
  if (expected.is_vector ? type != GGML_TYPE_F32 : !is_number && !ggml_is_quantized(type)) {
    return Error{ErrorCode::kUnsupported,
                 fmt::format("[{}] got type {}, expected {}", tensor.name, ggml_type_name(type),
                             expected.is_vector ? "f32" : "a floating or quantised type")};
  }
  return {};
}

}  // namespace

Result<Weights> Weights::load(const GgufFile& file, const Architecture& architecture) {
  std::unordered_map<std::string_view, const GgufTensor*> by_name;
  for (const GgufTensor& tensor : file.tensors()) by_name.emplace(tensor.name, &tensor);
  Weights weights;
  for (const Expected& expected : expected_tensors(architecture)) {
    if (!expected.is_wanted) continue;
    const bool is_per_layer = expected.scope == Scope::kLayer;
    const uint32_t count = is_per_layer ? architecture.layer_count : 1;
    for (uint32_t layer = 0; layer < count; ++layer) {
      const std::string name = is_per_layer ? fmt::format("blk.{}.{}", layer, expected.name)
                                            : std::string(expected.name);
      const auto found = by_name.find(name);
      if (found == by_name.end()) {
        return Error{ErrorCode::kCorrupt,
                     fmt::format("[{}] got nothing, expected this tensor in a model of family {}",
                                 name, architecture.family)};
      }
      const GgufTensor& tensor = *found->second;
      PIE_TRY(check(tensor, expected));
      weights.size_bytes_ += tensor.data.size;
      weights.tensors_.emplace(std::pair(expected.role, layer),
                               Tensor{tensor.name, tensor.type, tensor.shape, tensor.data});
      by_name.erase(found);
    }
  }
  if (!by_name.empty()) {
    const auto least = std::min_element(by_name.begin(), by_name.end());
    return Error{ErrorCode::kUnsupported,
                 fmt::format("[{}] got this tensor, expected none of its name in a model of family "
                             "{}: what it is for is not served",
                             least->first, architecture.family)};
  }
  if (architecture.has_tied_output) {
    weights.tensors_.emplace(std::pair(TensorRole::kOutput, 0),
                             weights.get(TensorRole::kTokenEmbedding));
  }
  return weights;
}

const Tensor* Weights::find(TensorRole role, uint32_t layer) const {
  const auto found = tensors_.find({role, layer});
  return found == tensors_.end() ? nullptr : &found->second;
}

const Tensor& Weights::get(TensorRole role, uint32_t layer) const {
  const Tensor* tensor = find(role, layer);
  PIE_CHECK(tensor != nullptr);
  return *tensor;
}

}  // namespace pie::model
