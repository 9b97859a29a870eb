#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "pie/forward.h"
#include "pie/handle.h"
#include "pie/result.h"

// Logits of a pass (pie:logits): what is done to them before tokens are drawn and distributions
// ranked, and what they are. Indices count the tokens of the pass.

namespace inferlet {

/// Tokens of a vocabulary; made once, used with many passes.
class TokenSet {
 public:
  /// One bit for each token, from the lowest of the first byte on.
  explicit TokenSet(std::span<const uint8_t> bits)
      : handle_(abi::token_set_new(bits.data(), static_cast<uint32_t>(bits.size()))) {}
  static TokenSet of(std::span<const uint32_t> tokens);
  abi::Handle handle() const { return handle_.get(); }

 private:
  OwnedHandle<abi::token_set_drop> handle_;
};

/// What tokens have to bear because they were there before.
struct Penalty {
  float repetition = 1;  ///< positive logits are divided by it, negative ones multiplied
  float presence = 0;    ///< taken from the logit of each token that was there
  float frequency = 0;   ///< taken once for each time that it was there
};

/// Draws with an equal one are equal, whatever the pass and the instance.
struct SeededDraw {
  uint64_t seed = 0;
  uint64_t position = 0;  ///< of the first index; the next one takes the next number
};

/// How tokens are drawn, in the order of the filters.
struct Sampling {
  float temperature = 0;  ///< 0: the most probable token
  uint32_t top_k = 0;     ///< 0: all
  float top_p = 1;
  float min_p = 0;
  float typical_p = 1;
  float xtc_probability = 0;  ///< 0: never
  float xtc_threshold = 0.1F;
  float surprise_max = 0;  ///< in bits; 0: all
  std::optional<SeededDraw> draw = std::nullopt;
  bool details = false;  ///< logits::token_details()
};

/// What is known of a token that was drawn.
struct TokenDetails {
  float log_probability;  ///< of softmax(logits), without rules, temperature and filters
  float surprise;         ///< in bits, of the distribution that it was drawn from
};

/// Tokens and a number for each; a whole row has no ids.
struct ScoredTokens {
  std::vector<uint32_t> ids;
  std::vector<float> values;
};

namespace logits {

using Tokens = std::span<const uint32_t>;
using Indices = std::span<const uint32_t>;

/// Only these may be drawn; of several calls for one index what all of them leave.
Result<void> allow(const ForwardPass& pass, Indices indices, Tokens tokens);
Result<void> allow(const ForwardPass& pass, Indices indices, const TokenSet& tokens);
Result<void> forbid(const ForwardPass& pass, Indices indices, Tokens tokens);
Result<void> forbid(const ForwardPass& pass, Indices indices, const TokenSet& tokens);
/// Adds values to logits.
Result<void> bias(const ForwardPass& pass, Indices indices, Tokens tokens,
                  std::span<const float> values);
Result<void> bias(const ForwardPass& pass, Indices indices, const TokenSet& tokens, float value);
/// `tokens`: those that were there, as often as they were.
Result<void> penalize(const ForwardPass& pass, Indices indices, Tokens tokens, const Penalty& by);

Result<void> output_tokens(const ForwardPass& pass, Indices indices, const Sampling& how);
/// The `best` greatest logits; 0: the whole row.
Result<void> output_logits(const ForwardPass& pass, Indices indices, uint32_t best);
/// What the model says of these tokens to follow the one at the index: natural logarithms.
Result<void> output_log_probabilities(const ForwardPass& pass, uint32_t index, Tokens tokens);
/// In nats.
Result<void> output_entropies(const ForwardPass& pass, Indices indices);

/// ForwardPass::execute(), but what is wrong with the pass is an error. The pass is empty
/// afterwards.
Result<std::optional<PassResult>> execute(const ForwardPass& pass);

/// Of a result that is ready; each takes what is there. None before.
std::optional<std::vector<ScoredTokens>> rows(const PassResult& result);
std::optional<std::vector<ScoredTokens>> log_probabilities(const PassResult& result);
std::optional<std::vector<float>> entropies(const PassResult& result);
std::optional<std::vector<TokenDetails>> token_details(const PassResult& result);

}  // namespace logits
}  // namespace inferlet
