#include "model/architecture.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "model/gguf_file.h"

namespace pie::model {
namespace {

/// What distinguishes families that share the layer of Architecture. A further family is a further
/// row (and fields for what no family had before).
struct Family {
  std::string_view name;  ///< general.architecture
  RopeKind rope;
  Activation activation;
};

constexpr std::array kFamilies = {Family{"llama", RopeKind::kPairs, Activation::kSilu}};

Result<Family> find_family(const std::string& name) {
  const auto* found = std::find_if(kFamilies.begin(), kFamilies.end(),
                                   [&](const Family& f) { return f.name == name; });
  if (found != kFamilies.end()) return *found;
  return Error{
      ErrorCode::kUnsupported,
      fmt::format("[general.architecture] got '{}', expected 'llama': this model family is "
                  "not served",
                  name)};
}

bool has_tensor(const GgufFile& file, std::string_view name) {
  return std::any_of(file.tensors().begin(), file.tensors().end(),
                     [&](const GgufTensor& t) { return t.name == name; });
}

Result<void> read_rope(const GgufFile& file, const std::string& prefix, Architecture& a) {
  PIE_TRY_ASSIGN(a.rope.dims,
                 file.integer_or(prefix + "rope.dimension_count", 2, a.key_size, a.key_size));
  if (a.rope.dims % 2 != 0) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("[{}rope.dimension_count] got {}, expected an even number", prefix,
                             a.rope.dims)};
  }
  PIE_TRY_ASSIGN(a.rope.base, file.number_or(prefix + "rope.freq_base", 10000.0F));
  PIE_TRY_ASSIGN(const std::string kind, file.text_or(prefix + "rope.scaling.type", "none"));
  PIE_TRY_ASSIGN(a.rope.factor, file.number_or(prefix + "rope.scaling.factor", 1.0F));
  PIE_TRY_ASSIGN(a.rope.original_context,
                 file.integer_or(prefix + "rope.scaling.original_context_length", 1, UINT32_MAX,
                                 a.context_length));
  PIE_TRY_ASSIGN(a.rope.attention_factor,
                 file.number_or(prefix + "rope.scaling.attn_factor", 1.0F));
  if (!(a.rope.base > 0.0F) || !(a.rope.factor >= 1.0F)) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("[{}rope] got base {} and scaling factor {}, expected a positive base "
                             "and a factor of at least 1",
                             prefix, a.rope.base, a.rope.factor)};
  }
  if (kind == "linear") {
    a.rope.scaling = RopeScaling::kLinear;
  } else if (kind == "yarn") {
    a.rope.scaling = RopeScaling::kYarn;
  } else if (kind != "none") {
    return Error{
        ErrorCode::kUnsupported,
        fmt::format("[{}rope.scaling.type] got '{}', expected none, linear or yarn", prefix, kind)};
  }
  a.rope.has_frequency_factors = has_tensor(file, "rope_freqs.weight");
  return {};
}

Result<void> read_heads(const GgufFile& file, const std::string& prefix, Architecture& a) {
  PIE_TRY_ASSIGN(a.head_count, file.integer(prefix + "attention.head_count", 1, 4096));
  PIE_TRY_ASSIGN(a.kv_head_count,
                 file.integer_or(prefix + "attention.head_count_kv", 1, 4096, a.head_count));
  if (a.head_count % a.kv_head_count != 0) {
    return Error{
        ErrorCode::kCorrupt,
        fmt::format("[{}attention.head_count_kv] got {}, expected a divisor of the {} heads",
                    prefix, a.kv_head_count, a.head_count)};
  }
  const uint32_t size = a.embedding_size / a.head_count;
  PIE_TRY_ASSIGN(a.key_size, file.integer_or(prefix + "attention.key_length", 2, 4096, size));
  PIE_TRY_ASSIGN(a.value_size, file.integer_or(prefix + "attention.value_length", 2, 4096, size));
  if (a.key_size < 2 || a.value_size < 2) {
    return Error{
        ErrorCode::kCorrupt,
        fmt::format("[{}attention.head_count] got {} for an embedding of {}, expected heads "
                    "of at least 2 elements",
                    prefix, a.head_count, a.embedding_size)};
  }
  a.attention_scale = 1.0F / std::sqrt(static_cast<float>(a.key_size));
  return {};
}

}  // namespace

Result<Architecture> read_architecture(const GgufFile& file) {
  Architecture a;
  PIE_TRY_ASSIGN(a.family, file.text("general.architecture"));
  PIE_TRY_ASSIGN(const Family family, find_family(a.family));
  const std::string prefix = a.family + ".";
  PIE_TRY_ASSIGN(a.layer_count, file.integer(prefix + "block_count", 1, 512));
  PIE_TRY_ASSIGN(a.context_length, file.integer(prefix + "context_length", 1, INT32_MAX));
  PIE_TRY_ASSIGN(a.embedding_size, file.integer(prefix + "embedding_length", 2, 1U << 17));
  PIE_TRY_ASSIGN(a.ffn_size, file.integer(prefix + "feed_forward_length", 1, 1U << 20));
  PIE_TRY_ASSIGN(a.norm_eps, file.number(prefix + "attention.layer_norm_rms_epsilon"));
  PIE_TRY_ASSIGN(const uint32_t experts,
                 file.integer_or(prefix + "expert_count", 0, UINT32_MAX, 0));
  if (experts != 0) {
    return Error{
        ErrorCode::kUnsupported,
        fmt::format("[{}expert_count] got {}, expected 0: mixtures of experts are not served",
                    prefix, experts)};
  }
  if (!(a.norm_eps >= 0.0F)) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("[{}attention.layer_norm_rms_epsilon] got {}, expected no less than 0",
                             prefix, a.norm_eps)};
  }
  PIE_TRY(read_heads(file, prefix, a));
  a.rope.kind = family.rope;
  a.activation = family.activation;
  PIE_TRY(read_rope(file, prefix, a));

  a.has_qkv_bias = has_tensor(file, "blk.0.attn_q.bias");
  a.has_output_bias = has_tensor(file, "blk.0.attn_output.bias");
  a.has_tied_output = !has_tensor(file, "output.weight");
  for (const GgufTensor& tensor : file.tensors()) {
    if (tensor.name == "token_embd.weight" && tensor.shape.size() == 2) {
      a.vocab_size = static_cast<uint32_t>(std::min<uint64_t>(tensor.shape[0], UINT32_MAX));
    }
  }
  return a;
}

}  // namespace pie::model
