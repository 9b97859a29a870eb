#pragma once
#include <cstdint>
#include <functional>

#include "pie/forward.h"

namespace inferlet {

/// How the next token is chosen. Temperature 0 means the most probable token.
class Sampler {
 public:
  static Sampler greedy() { return Sampler(Kind::kPlain); }
  static Sampler multinomial(float temperature);
  static Sampler top_p(float temperature, float top_p);
  static Sampler top_k(float temperature, uint32_t top_k);
  static Sampler min_p(float temperature, float min_p);
  static Sampler top_k_top_p(float temperature, uint32_t top_k, float top_p);
  /// `choose` gets the `top_k` best tokens of softmax(logits / temperature) and returns an id.
  using Choose = std::function<uint32_t(const Distribution&)>;
  static Sampler custom(float temperature, uint32_t top_k, Choose choose);
  /// Gives a distribution to whoever asks the result for it, and no token.
  static Sampler distribution(float temperature, uint32_t top_k);

  /// Asks `pass` for what this sampler needs at input token `index`.
  void request(const ForwardPass& pass, uint32_t index) const;
  /// The token, from a result that is ready.
  Result<uint32_t> take(const PassResult& result) const;

 private:
  enum class Kind { kPlain, kTopP, kTopK, kMinP, kTopKTopP, kCustom };
  explicit Sampler(Kind kind, float temperature = 0.0F) : kind_(kind), temperature_(temperature) {}

  Kind kind_;
  float temperature_;
  uint32_t top_k_ = 0;
  float p_ = 0.0F;  ///< top-p or min-p
  Choose choose_;
};

}  // namespace inferlet
