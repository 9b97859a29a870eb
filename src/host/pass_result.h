#pragma once
#include <memory>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/forward_pass.h"
#include "host/host_memory.h"
#include "wasm/object.h"
#include "wasm/readiness.h"

namespace pie::host {

/// `forward-pass-result`: its own event, so that a pass costs one allocation here. Shared by the
/// engine's callback and the program's handle.
class PassResult final : public wasm::Object, public wasm::Readiness {
 public:
  static constexpr std::string_view kResource = "inferlet:core/forward/forward-pass-result";
  /// `pass`: what the pass is charged for, kept until the engine is done with it.
  PassResult(Charge pass, std::shared_ptr<HostMemory> memory)
      : pass_(std::move(pass)), output_(std::move(memory)) {}

  /// Charges what the pass's outputs will take, and keeps which tokens were to be scored.
  Result<void> reserve_output(const engine::ForwardPass& pass, uint32_t vocab_size);
  /// Engine thread, once: stores the output, then makes it ready.
  void complete(engine::ForwardOutput output);

  /// Once ready(): gives the tokens away and keeps none; the second call gives an empty list.
  std::vector<TokenId> take_tokens() { return take(&engine::ForwardOutput::tokens); }
  std::vector<engine::Distribution> take_distributions() {
    return take(&engine::ForwardOutput::distributions);
  }
  std::vector<engine::LogitRow> take_logits() { return take(&engine::ForwardOutput::logits); }
  using ScoredTokens = std::tuple<std::vector<TokenId>, std::vector<float>>;
  std::vector<ScoredTokens> take_scores();
  std::vector<float> take_entropies() { return take(&engine::ForwardOutput::entropies); }
  std::vector<engine::TokenDetails> take_details() { return take(&engine::ForwardOutput::details); }

 private:
  template <class T>
  std::vector<T> take(std::vector<T> engine::ForwardOutput::* part);
  void release_if_taken();

  Charge pass_, output_;
  std::vector<std::vector<TokenId>> scored_;  ///< the tokens of each score slot
  engine::ForwardOutput values_;              ///< written before fire(), read after ready()
};

template <class T>
std::vector<T> PassResult::take(std::vector<T> engine::ForwardOutput::* part) {
  std::vector<T> taken = std::exchange(values_.*part, {});
  release_if_taken();
  return taken;
}

}  // namespace pie::host
