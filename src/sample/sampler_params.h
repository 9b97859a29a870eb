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
};

}  // namespace pie::sample
