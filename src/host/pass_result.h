#pragma once
#include <memory>
#include <string_view>
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

  /// Charges what the pass's outputs will take. Throws wasm::LimitError.
  void reserve_output(const engine::ForwardPass& pass);
  /// Engine thread, once: stores the output, then makes it ready.
  void complete(engine::ForwardOutput output);

  /// Once ready(): gives the tokens away and keeps none; the second call gives an empty list.
  std::vector<TokenId> take_tokens();
  std::vector<engine::Distribution> take_distributions();

 private:
  void release_if_taken();

  Charge pass_, output_;
  engine::ForwardOutput values_;  ///< written before fire(), read after ready()
};

}  // namespace pie::host
