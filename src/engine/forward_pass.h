#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/priority.h"
#include "base/result.h"
#include "base/strong_id.h"
#include "model/adapter.h"
#include "sample/distribution.h"
#include "sample/logit_rules.h"
#include "sample/row_answers.h"
#include "sample/sampler_params.h"

namespace pie::engine {

using pie::Priority;

/// One input of a pass: a token, or an embedding slot.
struct PassInput {
  TokenId token = 0;
  std::optional<uint32_t> embedding_slot;  ///< a pointer of type kEmbedding; then `token` is unused
  uint32_t position = 0;
};

/// Draws with an equal one are equal, whatever the pass and the instance.
struct SeededDraw {
  uint64_t seed = 0;
  uint64_t position = 0;
};

struct TokenSlot {
  uint32_t index = 0;  ///< relative to this pass's inputs
  sample::SamplerParams sampler;
  std::optional<SeededDraw> draw;  ///< nothing: by the engine's seed, instance, pass and slot
  bool wants_details = false;      ///< ForwardOutput::details
};

/// What is done to the logits of an input before its tokens are drawn and its distributions ranked.
/// At most one for each input. Not for LogitSlot, ScoreSlot and entropies: these tell what the
/// model says.
struct RowRules {
  uint32_t index = 0;
  std::shared_ptr<const sample::LogitRules> rules;
};

/// Logits as they are.
struct LogitSlot {
  uint32_t index = 0;
  uint32_t best = 0;  ///< how many, the greatest first; 0: the whole row, by token
};

/// Log-probabilities of given tokens: of softmax(logits).
struct ScoreSlot {
  uint32_t index = 0;
  std::vector<TokenId> tokens;
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
  std::vector<RowRules> rules;
  std::vector<LogitSlot> logits;
  std::vector<ScoreSlot> scores;
  model::AdapterRef adapter;        ///< what all of it is computed under; null: none
  std::vector<uint32_t> entropies;  ///< indices of inputs: of softmax(logits), in nats
};

/// The k best of softmax(logits / T).
using sample::Distribution;
using sample::LogitRow;
using sample::TokenDetails;

struct ForwardOutput {
  std::vector<TokenId> tokens;              ///< all token slots, in slot order
  std::vector<Distribution> distributions;  ///< all distribution slots, in slot order
  std::vector<TokenDetails> details;        ///< of the token slots that want them, in slot order
  std::vector<LogitRow> logits;             ///< of all logit slots, in order
  std::vector<std::vector<float>> scores;   ///< of all score slots, in order
  std::vector<float> entropies;             ///< in order
  uint32_t step_tokens = 0;  ///< of all passes together, in the step that ended this one
};

/// Called once, on the engine thread: must be quick. Of the engine it may call submit() alone: what
/// a pass gives may decide the next one, which then is in the next step. An Error
/// with kResourceExhausted or kInvalidArgument is to end the instance; kCancelled says that the
/// instance was closed meanwhile.
using ForwardCallback = std::function<void(Result<ForwardOutput>)>;

}  // namespace pie::engine
