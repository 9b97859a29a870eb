#pragma once
#include <cstdint>
#include <string>
#include <vector>

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

/// A rotary embedding; model/rope.h turns it into the frequency of each pair.
struct Rope {
  RopeKind kind = RopeKind::kPairs;
  uint32_t dims = 0;  ///< leading elements of a head that are turned, even
  float base = 10000.0F;
  RopeScaling scaling = RopeScaling::kNone;
  float factor = 1.0F;            ///< context extension, >= 1; 1 when scaling is kNone
  uint32_t original_context = 0;  ///< tokens before the extension
  float attention_factor = 1.0F;  ///< multiplies every turned element, besides YaRN's magnitude
  float beta_fast = 32.0F;        ///< YaRN: pairs that turn more often than this in the original
                                  ///< context keep their frequency,
  float beta_slow = 1.0F;         ///< ... that turn less often than this are slowed by `factor`
  bool has_frequency_factors = false;  ///< TensorRole::kRopeFactors divides each frequency
};

enum class Activation : uint8_t { kSilu, kGeluTanh };

/// A decoder-only transformer as numbers: what every executor reads instead of knowing families.
/// One layer computes (every norm is an RMS norm; post norms only where has_post_norms):
///   q, k, v = Q(y) + bias, K(y) + bias, V(y) + bias of y = norm(x)
///   q, k    = rope(norm of each head of q), rope(norm of each head of k)      has_qk_norm
///   x      += post_norm(O(attention(q, k, v)) + bias)
///   x      += post_norm(down(act(gate z) * up z)) of z = norm(x)
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
  float norm_eps = 1e-5F;  ///< of every norm
  Rope rope;               ///< of the layers that see all slots
  Rope window_rope;        ///< of the windowed layers
  Activation activation = Activation::kSilu;

  float embedding_scale = 1.0F;    ///< multiplies rows of the embedding table, not the embeddings
                                   ///< that a program gives
  float attention_scale = 0.0F;    ///< multiplies Q·K
  float attention_softcap = 0.0F;  ///< c·tanh(score / c) of the scaled score; 0 = none
  float logit_softcap = 0.0F;      ///< likewise, of the logits
  uint32_t sliding_window = 0;     ///< slots that a token of a windowed layer sees, its own being
                                   ///< the last; 0 when no layer is windowed
  std::vector<bool> is_windowed;   ///< per layer; empty when no layer is windowed

  bool has_qkv_bias = false;
  bool has_output_bias = false;  ///< of the attention's output projection
  bool has_qk_norm = false;      ///< RMS norm of each head of Q and K before the rotation
  bool has_post_norms = false;   ///< norms after attention and FFN, before the residual
  bool has_tied_output = false;  ///< logits come from the embedding table

  /// Slots that a token of this layer sees: those with own slot - slot < window_of(layer), of which
  /// a program's mask takes further ones away. By slots, not by positions: those feed the rotation
  /// alone (inferlet-host.md, section 2). 0 = all before it.
  uint32_t window_of(uint32_t layer) const {
    return !is_windowed.empty() && is_windowed[layer] ? sliding_window : 0;
  }
  const Rope& rope_of(uint32_t layer) const { return window_of(layer) != 0 ? window_rope : rope; }
};

/// Reads the family's numbers. kUnsupported names a family or feature that is not served, kCorrupt
/// a number that is missing or cannot be.
Result<Architecture> read_architecture(const GgufFile& file);

}  // namespace pie::model
