#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "pie/forward.h"
#include "pie/generation.h"
#include "pie/logits.h"

namespace inferlet {

/// What comes before a token that is to be chosen.
struct TokenHistory {
  size_t position = 0;               ///< of the token that is chosen
  std::span<const uint32_t> tokens;  ///< the last of them, as many as the sampler looks at
};

/// How the next token is chosen. Temperature 0 means the most probable token. What begins with
/// `with_` gives a sampler that does that as well:
///   Sampler::top_p(0.7F, 0.9F).with_penalties({.repetition = 1.1F}).with_seed(7)
/// and `a & b` one that does what both do.
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
  /// Draws one of the tokens that `filter` leaves of the `top_k` best, by their probabilities; of
  /// all of them when it leaves none.
  using Filter = std::function<void(Distribution&)>;
  static Sampler filtered(float temperature, uint32_t top_k, Filter filter);

  /// Filters as both do, in the order of Sampling (the narrower of two bounds holds), by the
  /// temperature of the first and the rules of both; where both have penalties, a seed or XTC,
  /// those of the first. Beside filtered() the others look at the best 1,024 tokens at most, and
  /// typical and XTC are errors. Samplers that choose themselves (custom, over_logits,
  /// distribution, mirostat) stay as they are.
  friend Sampler operator&(const Sampler& a, const Sampler& b);

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
  /// Whether request() needs to know what comes before, which a seed and penalties do.
  bool looks_back() const { return has_penalty_ || seed_.has_value(); }
  /// Whether a token does not depend on how the one before was drawn.
  bool takes_drafts() const { return mirostat_ == nullptr; }
  /// Asks `pass` for what this sampler needs at input tokens; one that looks back at one of them at
  /// a time, with what comes before the token that is to be chosen there.
  Result<void> request(const ForwardPass& pass, std::span<const uint32_t> indices,
                       const std::optional<TokenHistory>& before = std::nullopt) const;
  Result<void> request(const ForwardPass& pass, uint32_t index,
                       const std::optional<TokenHistory>& before = std::nullopt) const {
    return request(pass, std::span(&index, 1), before);
  }
  /// The token, from a result that is ready.
  Result<uint32_t> take(const PassResult& result) const;

  /// The same in the words of a generation that the engine runs, of a text that will have `length`
  /// tokens; none where it has no word that means exactly this.
  std::optional<GenerationSampling> for_engine(size_t length) const;
  /// What such a generation says of mirostat behind a token.
  void set_surprise_max(float surprise_max) const {
    if (mirostat_) mirostat_->surprise_max = surprise_max;
  }

 private:
  friend class Draws;
  enum class Kind { kPlain, kTopP, kTopK, kMinP, kTopKTopP, kEverything, kCustom, kLogits };
  struct SetRule {
    std::shared_ptr<const TokenSet> tokens;
    enum class Use { kAllow, kForbid } use;
  };
  explicit Sampler(Kind kind, float temperature = 0.0F) : kind_(kind) {
    sampling_.temperature = temperature;
  }
  Result<void> request_rules(const ForwardPass& pass, std::span<const uint32_t> indices,
                             const std::optional<TokenHistory>& before) const;
  Result<void> request_token(const ForwardPass& pass, std::span<const uint32_t> indices,
                             const std::optional<TokenHistory>& before) const;
  bool chooses_itself() const {
    return kind_ == Kind::kLogits || mirostat_ || (kind_ == Kind::kCustom && !filter_);
  }
  Filter filter() const;
  void add_rules(const Sampler& other);

  Kind kind_;
  Sampling sampling_;
  std::optional<uint64_t> seed_;
  Penalty penalty_;
  size_t penalised_ = 0;
  bool has_penalty_ = false;
  std::vector<uint32_t> biased_;
  std::vector<float> biases_;
  std::vector<SetRule> sets_;
  /// The engine's; above 0, which would mean no bound.
  static constexpr float kSurpriseMin = 0.01F;
  struct Mirostat {
    float target, rate, surprise_max;
  };
  std::shared_ptr<Mirostat> mirostat_;  ///< of this sampler and its copies
  Choose choose_;
  Filter filter_;
  ChooseByLogits choose_by_logits_;
  std::string mistake_;  ///< what request() says is wrong with a combination
};

/// What the rows of a pass give, when they are asked for: a sampler of the program sees only those
/// that are.
class Draws {
 public:
  /// `result` is ready; `sampler` outlives this.
  Draws(const Sampler& sampler, const PassResult& result);
  /// The token at a row; once each.
  Result<uint32_t> at(size_t row);
  /// What the host drew at every row; nothing where the program chooses.
  std::span<const uint32_t> drawn() const { return tokens_; }

 private:
  const Sampler& sampler_;
  std::vector<uint32_t> tokens_;
  std::vector<Distribution> distributions_;
  std::vector<ScoredTokens> logits_;
  std::vector<TokenDetails> details_;
};

}  // namespace inferlet
