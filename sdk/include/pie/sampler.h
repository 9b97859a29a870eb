#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "pie/forward.h"
#include "pie/logits.h"

namespace inferlet {

/// What comes before a token that is to be chosen.
struct TokenHistory {
  size_t position = 0;               ///< the number of tokens before it
  std::span<const uint32_t> tokens;  ///< the last of them, as many as the sampler looks at
};

/// How the next token is chosen. Temperature 0 means the most probable token. What begins with
/// `with_` gives a sampler that does that as well:
///   Sampler::top_p(0.7F, 0.9F).with_penalties({.repetition = 1.1F}).with_seed(7)
class Sampler {
 public:
  static Sampler greedy() { return Sampler(Kind::kPlain); }
  static Sampler multinomial(float temperature);
  static Sampler top_p(float temperature, float top_p);
  static Sampler top_k(float temperature, uint32_t top_k);
  static Sampler min_p(float temperature, float min_p);
  static Sampler top_k_top_p(float temperature, uint32_t top_k, float top_p);
  static Sampler typical(float temperature, float typical_p);
  /// All filters together; with_seed() instead of `draw`.
  static Sampler of(const Sampling& sampling);
  /// Keeps the surprise of the text near so many bits a token (mirostat 2). Adapts itself with each
  /// token: a sampler, and its copies, for one text.
  static Sampler mirostat(float temperature, float surprise, float rate = 0.1F);
  /// `choose` gets the `top_k` best tokens of softmax(logits / temperature) and returns an id.
  using Choose = std::function<uint32_t(const Distribution&)>;
  static Sampler custom(float temperature, uint32_t top_k, Choose choose);
  /// `choose` gets the logits by token, as the model gave them, and returns an id.
  using ChooseByLogits = std::function<uint32_t(std::span<const float>)>;
  static Sampler over_logits(ChooseByLogits choose);
  /// Gives a distribution to whoever asks the result for it, and no token.
  static Sampler distribution(float temperature, uint32_t top_k);

  /// Penalises the tokens of the context, or its `last` ones alone.
  Sampler with_penalties(const Penalty& penalty, size_t last = SIZE_MAX) const;
  /// Adds to the logits of tokens.
  Sampler with_bias(std::vector<std::pair<uint32_t, float>> bias) const;
  /// Only tokens of the set are chosen, or none of it; of several all hold.
  Sampler with_allowed(std::shared_ptr<const TokenSet> tokens) const;
  Sampler with_forbidden(std::shared_ptr<const TokenSet> tokens) const;
  /// With this probability all tokens but the least probable of those that have `threshold` go.
  Sampler with_xtc(float probability, float threshold) const;
  /// The same text for the same seed, whatever else runs. (What custom() and over_logits() choose
  /// is their own.)
  Sampler with_seed(uint64_t seed) const;

  /// How many of the last tokens request() looks at.
  size_t history_size() const { return has_penalty_ ? penalised_ : 0; }
  /// Asks `pass` for what this sampler needs at input token `index`. A seed and penalties need to
  /// know what comes before the token that is to be chosen.
  Result<void> request(const ForwardPass& pass, uint32_t index,
                       const std::optional<TokenHistory>& before = std::nullopt) const;
  /// The token, from a result that is ready.
  Result<uint32_t> take(const PassResult& result) const;

 private:
  enum class Kind { kPlain, kTopP, kTopK, kMinP, kTopKTopP, kEverything, kCustom, kLogits };
  struct SetRule {
    std::shared_ptr<const TokenSet> tokens;
    enum class Use { kAllow, kForbid } use;
  };
  explicit Sampler(Kind kind, float temperature = 0.0F) : kind_(kind) {
    sampling_.temperature = temperature;
  }
  Result<void> request_rules(const ForwardPass& pass, uint32_t index,
                             const std::optional<TokenHistory>& before) const;
  Result<void> request_token(const ForwardPass& pass, uint32_t index,
                             const std::optional<TokenHistory>& before) const;

  Kind kind_;
  Sampling sampling_;
  std::optional<uint64_t> seed_;
  Penalty penalty_;
  size_t penalised_ = 0;
  bool has_penalty_ = false;
  std::vector<uint32_t> biased_;
  std::vector<float> biases_;
  std::vector<SetRule> sets_;
  struct Mirostat {
    float target, rate, surprise_max;
  };
  std::shared_ptr<Mirostat> mirostat_;  ///< of this sampler and its copies
  Choose choose_;
  ChooseByLogits choose_by_logits_;
};

}  // namespace inferlet
