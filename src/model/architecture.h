#pragma once
#include <cstdint>
#include <string>

#include "base/result.h"

namespace pie::model {

class GgufFile;

/// Which elements of a head the rotary embedding turns together (Su et al., 2021, section 3.4.2).
enum class RopeKind : uint8_t {
  kNone,
  kPairs,   ///< element 2i with 2i + 1
  kHalves,  ///< element i with i + dims / 2
};

/// How positions beyond the trained context are folded in.
enum class RopeScaling : uint8_t {
  kNone,
  kLinear,  ///< positions are divided by `factor`
  kYarn,    ///< Peng et al., 2023, section 3
};

struct Rope {
  RopeKind kind = RopeKind::kPairs;
  uint32_t dims = 0;  ///< leading elements of a head that are turned
  float base = 10000.0F;
  RopeScaling scaling = RopeScaling::kNone;
  float factor = 1.0F;                 ///< context extension, >= 1
  uint32_t original_context = 0;       ///< tokens before the extension
  float attention_factor = 1.0F;       ///< multiplies YaRN's own magnitude
  bool has_frequency_factors = false;  ///< TensorRole::kRopeFactors divides each frequency
};

enum class Activation : uint8_t { kSilu, kGeluTanh };

/// A decoder-only transformer as numbers: what every executor reads instead of knowing families.
/// One layer computes, in this order (RMS norms, pre-norm residual blocks):
///   x += scale_out * Attention(norm(x)),  x += Ffn(norm(x)),  Ffn(y) = down(act(gate y) * up y)
struct Architecture {
  std::string family;  ///< general.architecture of the file
  uint32_t layer_count = 0;
  uint32_t embedding_size = 0;
  uint32_t vocab_size = 0;
  uint32_t context_length = 0;
  uint32_t head_count = 0;
  uint32_t kv_head_count = 0;  ///< divides head_count
  uint32_t key_size = 0;       ///< elements of a head of Q and K
  uint32_t value_size = 0;     ///< elements of a head of V
  uint32_t ffn_size = 0;
  float norm_eps = 1e-5F;
  Rope rope;
  Activation activation = Activation::kSilu;

  float embedding_scale = 1.0F;    ///< multiplies embedding rows
  float attention_scale = 0.0F;    ///< multiplies Q·K
  float attention_softcap = 0.0F;  ///< c·tanh(score / c); 0 = none
  float logit_softcap = 0.0F;      ///< likewise, of the logits
  uint32_t sliding_window = 0;     ///< slots that a windowed layer sees; 0 = all layers see all
  uint32_t window_period = 0;      ///< every period-th layer sees all, the others a window

  bool has_qkv_bias = false;
  bool has_output_bias = false;  ///< of the attention's output projection
  bool has_qk_norm = false;      ///< RMS norm of each head of Q and K before the rotation
  bool has_post_norms = false;   ///< norms after attention and FFN, before the residual
  bool has_tied_output = false;  ///< logits come from the embedding table
};

/// Reads the family's numbers. kUnsupported names a family or feature that is not served, kCorrupt
/// a number that is missing or cannot be.
Result<Architecture> read_architecture(const GgufFile& file);

}  // namespace pie::model
