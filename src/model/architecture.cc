#include "model/architecture.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string_view>

#include "model/gguf_file.h"

namespace pie::model {
namespace {

/// Which layers see a window, where the file does not say.
struct Windows {
  uint32_t size = 0;    ///< slots; 0 = the file says so or there are none
  uint32_t period = 0;  ///< every period-th layer sees all; 0 = the family has no windows
};

/// What distinguishes families that share the layer of Architecture. A further family is a further
/// row (and fields for what no family had before).
struct Family {
  std::string_view name = {};  ///< general.architecture
  RopeKind rope = RopeKind::kHalves;
  Activation activation = Activation::kSilu;
  bool has_qk_norm = false;
  bool has_post_norms = false;
  bool has_scaled_embeddings = false;  ///< by the square root of the embedding's size
  // What caps are where the file does not say; none where the family has no such cap.
  std::optional<float> attention_softcap = {};
  std::optional<float> logit_softcap = {};
  Windows windows = {};
  /// Layers of the one model of the family whose scores are scaled by the embedding's share of a
  /// head instead of the head's size (27B, in both Gemma families; the file does not say).
  uint32_t shared_scale_layers = 0;
};

constexpr std::array kFamilies = {
    Family{.name = "llama", .rope = RopeKind::kPairs},
    Family{.name = "qwen2"},
    Family{.name = "qwen3", .has_qk_norm = true},
    Family{.name = "gemma2",
           .activation = Activation::kGeluTanh,
           .has_post_norms = true,
           .has_scaled_embeddings = true,
           .attention_softcap = 50.0F,
           .logit_softcap = 30.0F,
           .windows = {.size = 4096, .period = 2},
           .shared_scale_layers = 46},
    Family{.name = "gemma3",
           .activation = Activation::kGeluTanh,
           .has_qk_norm = true,
           .has_post_norms = true,
           .has_scaled_embeddings = true,
           .logit_softcap = 0.0F,
           .windows = {.period = 6},
           .shared_scale_layers = 62},
};

Error corrupt(std::string message) { return {ErrorCode::kCorrupt, std::move(message)}; }

Result<Family> find_family(const std::string& name) {
  const auto* found = std::find_if(kFamilies.begin(), kFamilies.end(),
                                   [&](const Family& f) { return f.name == name; });
  if (found != kFamilies.end()) return *found;
  std::array<std::string_view, kFamilies.size()> names;
  std::transform(kFamilies.begin(), kFamilies.end(), names.begin(),
                 [](const Family& f) { return f.name; });
  return Error{
      ErrorCode::kUnsupported,
      fmt::format("[general.architecture] got '{}', expected one of {}: this model family is "
                  "not served",
                  name, fmt::join(names, ", "))};
}

bool has_tensor(const GgufFile& file, std::string_view name) {
  return std::any_of(file.tensors().begin(), file.tensors().end(),
                     [&](const GgufTensor& t) { return t.name == name; });
}

/// Kind and factor of the scaling. A factor without a kind is linear, as files of before 2024 have
/// it (their key: rope.scale_linear).
Result<void> read_scaling(const GgufFile& file, const std::string& prefix, Rope& rope) {
  PIE_TRY_ASSIGN(const std::string kind, file.text_or(prefix + "rope.scaling.type", "linear"));
  PIE_TRY_ASSIGN(const float older, file.number_or(prefix + "rope.scale_linear", 0.0F));
  PIE_TRY_ASSIGN(rope.factor, file.number_or(prefix + "rope.scaling.factor", older));
  if (rope.factor == 0.0F) rope.factor = 1.0F;
  if (!(rope.factor >= 1.0F)) {
    return corrupt(
        fmt::format("[{}rope.scaling.factor] got {}, expected at least 1", prefix, rope.factor));
  }
  if (kind == "none") {
    rope.factor = 1.0F;
  } else if (kind == "linear") {
    rope.scaling = rope.factor == 1.0F ? RopeScaling::kNone : RopeScaling::kLinear;
  } else if (kind == "yarn") {
    rope.scaling = RopeScaling::kYarn;
  } else {
    return Error{
        ErrorCode::kUnsupported,
        fmt::format("[{}rope.scaling.type] got '{}', expected none, linear or yarn", prefix, kind)};
  }
  return {};
}

Result<void> check_base(const std::string& key, float base) {
  // YaRN divides by its logarithm.
  if (base > 1.0F) return {};
  return corrupt(fmt::format("[{}] got {}, expected more than 1", key, base));
}

Result<void> read_rope(const GgufFile& file, const std::string& prefix, Architecture& a) {
  PIE_TRY_ASSIGN(a.rope.dims,
                 file.integer_or(prefix + "rope.dimension_count", 2, a.key_size, a.key_size));
  if (a.rope.dims % 2 != 0) {
    return corrupt(fmt::format("[{}rope.dimension_count] got {}, expected an even number", prefix,
                               a.rope.dims));
  }
  PIE_TRY_ASSIGN(a.rope.base, file.number_or(prefix + "rope.freq_base", 10000.0F));
  PIE_TRY(check_base(prefix + "rope.freq_base", a.rope.base));
  PIE_TRY_ASSIGN(a.rope.original_context,
                 file.integer_or(prefix + "rope.scaling.original_context_length", 1, INT32_MAX,
                                 a.context_length));
  PIE_TRY_ASSIGN(a.rope.attention_factor,
                 file.number_or(prefix + "rope.scaling.attn_factor", 1.0F));
  PIE_TRY_ASSIGN(a.rope.beta_fast, file.number_or(prefix + "rope.scaling.yarn_beta_fast", 32.0F));
  PIE_TRY_ASSIGN(a.rope.beta_slow, file.number_or(prefix + "rope.scaling.yarn_beta_slow", 1.0F));
  if (!(a.rope.beta_slow > 0.0F) || !(a.rope.beta_fast >= a.rope.beta_slow)) {
    return corrupt(
        fmt::format("[{}rope.scaling.yarn_beta_fast] got {} and yarn_beta_slow {}, "
                    "expected the first to be no less than the second, both above 0",
                    prefix, a.rope.beta_fast, a.rope.beta_slow));
  }
  PIE_TRY(read_scaling(file, prefix, a.rope));
  a.rope.has_frequency_factors = has_tensor(file, "rope_freqs.weight");
  return {};
}

/// The layers that see a window, and how these turn their heads.
Result<void> read_windows(const GgufFile& file, const std::string& prefix, const Windows& windows,
                          Architecture& a) {
  a.window_rope = a.rope;
  if (windows.period == 0) return {};
  const std::string size_key = prefix + "attention.sliding_window";
  PIE_TRY_ASSIGN(a.sliding_window, file.integer_or(size_key, 0, INT32_MAX, windows.size));
  if (a.sliding_window == 0) return {};
  const std::string key = size_key + "_pattern";
  PIE_TRY_ASSIGN(a.is_windowed, file.flags(key));
  if (a.is_windowed.empty()) {
    PIE_TRY_ASSIGN(const uint32_t period, file.integer_or(key, 0, INT32_MAX, windows.period));
    for (uint32_t layer = 0; layer < a.layer_count; ++layer)
      a.is_windowed.push_back(period == 0 || layer % period < period - 1);
  } else if (a.is_windowed.size() != a.layer_count) {
    return corrupt(
        fmt::format("[{}] got {} layers, expected {}", key, a.is_windowed.size(), a.layer_count));
  }
  // Gemma 3 turns windowed layers as they were trained before the context was extended; of Gemma 2
  // only the base may differ.
  const bool is_extended_alike = windows.size != 0;
  PIE_TRY_ASSIGN(a.window_rope.base, file.number_or(prefix + "rope.freq_base_swa",
                                                    is_extended_alike ? a.rope.base : 10000.0F));
  PIE_TRY(check_base(prefix + "rope.freq_base_swa", a.window_rope.base));
  if (!is_extended_alike) {
    a.window_rope.scaling = RopeScaling::kNone;
    a.window_rope.factor = 1.0F;
  }
  for (const auto& [other, expected] : {std::pair("attention.key_length_swa", a.key_size),
                                        std::pair("attention.value_length_swa", a.value_size),
                                        std::pair("rope.dimension_count_swa", a.rope.dims)}) {
    PIE_TRY_ASSIGN(const uint32_t got, file.integer_or(prefix + other, 0, UINT32_MAX, expected));
    if (got != expected) {
      return Error{ErrorCode::kUnsupported,
                   fmt::format("[{}{}] got {}, expected the {} of the other layers", prefix, other,
                               got, expected)};
    }
  }
  return {};
}

Result<void> read_heads(const GgufFile& file, const std::string& prefix, Architecture& a) {
  PIE_TRY_ASSIGN(a.head_count, file.integer(prefix + "attention.head_count", 1, 4096));
  PIE_TRY_ASSIGN(a.kv_head_count,
                 file.integer_or(prefix + "attention.head_count_kv", 1, 4096, a.head_count));
  if (a.head_count % a.kv_head_count != 0) {
    return corrupt(
        fmt::format("[{}attention.head_count_kv] got {}, expected a divisor of the {} heads",
                    prefix, a.kv_head_count, a.head_count));
  }
  const uint32_t size = a.embedding_size / a.head_count;
  PIE_TRY_ASSIGN(a.key_size, file.integer_or(prefix + "attention.key_length", 2, 4096, size));
  PIE_TRY_ASSIGN(a.value_size, file.integer_or(prefix + "attention.value_length", 2, 4096, size));
  if (a.key_size < 2 || a.value_size < 2) {
    return corrupt(fmt::format(
        "[{}attention.head_count] got {} for an embedding of {}, expected heads of at least 2 "
        "elements",
        prefix, a.head_count, a.embedding_size));
  }
  return {};
}

Result<void> read_softcap(const GgufFile& file, const std::string& key,
                          std::optional<float> otherwise, float& cap) {
  if (!otherwise) return {};
  PIE_TRY_ASSIGN(cap, file.number_or(key, *otherwise));
  if (cap >= 0.0F) return {};
  return corrupt(fmt::format("[{}] got {}, expected no less than 0", key, cap));
}

/// What the family's row says, with the numbers of the file.
Result<void> apply(const Family& family, const GgufFile& file, const std::string& prefix,
                   Architecture& a) {
  a.rope.kind = family.rope;
  a.activation = family.activation;
  a.has_qk_norm = family.has_qk_norm;
  a.has_post_norms = family.has_post_norms;
  if (family.has_scaled_embeddings)
    a.embedding_scale = std::sqrt(static_cast<float>(a.embedding_size));
  const bool is_shared = family.shared_scale_layers == a.layer_count;
  const uint32_t scaled_by = is_shared ? a.embedding_size / a.head_count : a.key_size;
  a.attention_scale = 1.0F / std::sqrt(static_cast<float>(scaled_by));
  PIE_TRY(read_softcap(file, prefix + "attn_logit_softcapping", family.attention_softcap,
                       a.attention_softcap));
  PIE_TRY(read_softcap(file, prefix + "final_logit_softcapping", family.logit_softcap,
                       a.logit_softcap));
  PIE_TRY(read_rope(file, prefix, a));
  return read_windows(file, prefix, family.windows, a);
}

Result<void> read_sizes(const GgufFile& file, const std::string& prefix, Architecture& a) {
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
  if (a.norm_eps >= 0.0F) return {};
  return corrupt(fmt::format("[{}attention.layer_norm_rms_epsilon] got {}, expected no less than 0",
                             prefix, a.norm_eps));
}

}  // namespace

Result<Architecture> read_architecture(const GgufFile& file) {
  Architecture a;
  PIE_TRY_ASSIGN(a.family, file.text("general.architecture"));
  PIE_TRY_ASSIGN(const Family family, find_family(a.family));
  const std::string prefix = a.family + ".";
  PIE_TRY(read_sizes(file, prefix, a));
  PIE_TRY(read_heads(file, prefix, a));
  PIE_TRY(apply(family, file, prefix, a));
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
