#pragma once
#include <cstdint>

namespace pie::sample {

/// How one token is drawn: logits -> /temperature -> softmax -> filter -> draw
/// (inferlet-host.md, section 2). Temperature below 1e-5 takes the argmax.
struct SamplerParams {
  float temperature = 0.0F;
  uint32_t top_k = 0;  ///< keep the k most probable; 0 = all
  float top_p = 1.0F;  ///< keep the smallest set whose probability reaches p; 1 = all
  float min_p = 0.0F;  ///< keep tokens with at least min_p of the best one's probability; 0 = all
  /// Keep the smallest set of tokens whose surprise is closest to the entropy and whose probability
  /// reaches it (Meister et al., 2022); 1 = all.
  float typical_p = 1.0F;
  /// With this probability, of the tokens that have at least xtc_threshold all but the least
  /// probable go (Exclude Top Choices); 0 = never.
  float xtc_probability = 0.0F;
  float xtc_threshold = 0.1F;
  /// Tokens with more surprise than this go, in bits (mirostat 2, Basu et al., 2021); 0 = none. Who
  /// draws adapts it from draw to draw.
  float surprise_max = 0.0F;
};

}  // namespace pie::sample
