#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/strong_id.h"
#include "decode/constraint.h"
#include "model/adapter.h"
#include "sample/sampler_params.h"

namespace pie::decode {

/// What a token has to bear because it, or what it would repeat, was there before.
struct Penalties {
  float repetition = 1.0F;  ///< logit / r, or * r below 0, of tokens among the last ones; 1: none
  uint32_t window = 64;     ///< so many last ones, those before the generation included
  float presence = 0.0F;    ///< taken from the logit of what is counted
  float frequency = 0.0F;   ///< the same, for each time
  /// What these two count: what was generated, or what the window holds.
  enum class Counted : uint8_t { kGenerated, kWindow } counted = Counted::kGenerated;
};

/// "Don't repeat yourself": a token that would go on with what followed an earlier, equal end of
/// the text gets multiplier * base ^ (length - allowed_length) less.
struct DryPenalty {
  float multiplier = 0.0F;  ///< 0: none
  float base = 1.75F;
  uint32_t allowed_length = 2;
  uint32_t window = 1024;         ///< so many last tokens are looked at
  std::vector<TokenId> breakers;  ///< no repetition goes over them
};

/// Mirostat 2 (Basu et al., 2021): keeps the mean surprise of the text, in bits, near `target`.
struct Mirostat {
  float target = 5.0F;
  float rate = 0.1F;
  std::optional<float> surprise_max;  ///< of the first token; none: twice the target
};

struct TokenChoice {
  sample::SamplerParams params;
  Penalties penalties;
  DryPenalty dry;
  std::optional<Mirostat> mirostat;
  std::vector<std::pair<TokenId, float>> bias;  ///< added to the logits
  uint64_t seed = 0;                            ///< with the token's position: the draw's key
};

/// What the new tokens attend to, besides each other.
struct AttendAll {};
/// Slots before the generation as run lengths (exec::MaskRuns): attend, masked, attend, ...
struct AttendRuns {
  std::vector<uint32_t> runs;
};
/// The first `sink` slots and the last `length`, their own included (Xiao et al., 2023).
struct AttendWindow {
  uint32_t sink = 0;
  uint32_t length = 0;
};
using Attention = std::variant<AttendAll, AttendRuns, AttendWindow>;

/// Tokens that are likely to come, looked up in the text itself. They change no token of the
/// result: what is drawn behind a wrong one is dropped.
struct Drafting {
  uint32_t tokens_max = 16;                   ///< in one pass; 0: none are looked up
  uint32_t match_min = 3;                     ///< equal tokens that a look-up needs
  std::vector<std::vector<TokenId>> sources;  ///< texts to look in besides the sequence
};

struct GenerationRequest {
  std::vector<VirtualPage> pages;  ///< the whole sequence, room for what comes included
  uint32_t context_len = 0;        ///< slots that hold the context
  std::vector<TokenId> context;    ///< its tokens, for penalties and drafts; may be empty
  std::vector<TokenId> pending;    ///< tokens behind it that are not computed yet; at least one
  uint32_t position = 0;           ///< of the first of these
  Attention attention;
  TokenChoice sampling;
  Drafting drafting;
  std::shared_ptr<Constraint> constraint;  ///< may be null
  model::AdapterRef adapter;               ///< what all of it is computed under; null: none
  std::vector<TokenId> stop_tokens;
  std::vector<std::string> stop_texts;
  uint32_t tokens_max = 0;  ///< at least 1
  /// Log-probabilities of what is drawn; and of so many best ones beside it.
  bool wants_details = false;
  uint32_t ranked = 0;
};

}  // namespace pie::decode
