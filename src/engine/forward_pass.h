#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "base/priority.h"
#include "base/result.h"
#include "base/strong_id.h"
#include "sample/distribution.h"
#include "sample/sampler_params.h"

namespace pie::engine {

using pie::Priority;

/// One input of a pass: a token, or an embedding slot.
struct PassInput {
  TokenId token = 0;
  std::optional<uint32_t> embedding_slot;  ///< a pointer of type kEmbedding; then `token` is unused
  uint32_t position = 0;
};

struct TokenSlot {
  uint32_t index = 0;  ///< relative to this pass's inputs
  sample::SamplerParams sampler;
};

struct DistributionSlot {
  uint32_t index = 0;
  float temperature = 1.0F;
  uint32_t top_k = 32;
};

struct EmbeddingOutput {
  uint32_t index = 0;
  uint32_t slot = 0;  ///< a pointer of type kEmbedding
};

/// A forward pass as a program fills it. Semantics: inferlet-host.md, section 2.
struct ForwardPass {
  std::vector<PassInput> inputs;
  std::vector<VirtualPage> pages;  ///< the whole sequence, room for this pass's tokens included
  uint32_t last_page_len = 0;
  std::optional<std::vector<std::vector<uint32_t>>> mask;  ///< exec::MaskRuns per input
  std::vector<TokenSlot> tokens;
  std::vector<DistributionSlot> distributions;
  std::vector<EmbeddingOutput> embeddings;
};

/// The k best of softmax(logits / T).
using sample::Distribution;

struct ForwardOutput {
  std::vector<TokenId> tokens;              ///< all token slots, in slot order
  std::vector<Distribution> distributions;  ///< all distribution slots, in slot order
};

/// Called once, on the engine thread: must be quick and must not call the engine back. An Error
/// with kResourceExhausted or kInvalidArgument is to end the instance; kCancelled says that the
/// instance was closed meanwhile.
using ForwardCallback = std::function<void(Result<ForwardOutput>)>;

}  // namespace pie::engine
