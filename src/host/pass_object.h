#pragma once
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "engine/forward_pass.h"
#include "host/host_memory.h"
#include "host/instance_state.h"
#include "host/objects.h"
#include "host/pass_result.h"
#include "host/pass_rules.h"
#include "wasm/object.h"

namespace pie::host {

/// `forward-pass`: what was filled in since the last execute.
struct PassObject final : wasm::Object {
  static constexpr std::string_view kResource = "inferlet:core/forward/forward-pass";
  /// What a pass takes here and in the engine beside its lists.
  static constexpr uint64_t kBytes = 1024;

  PassObject(std::shared_ptr<QueueObject> queue_, const std::shared_ptr<HostMemory>& memory)
      : queue(std::move(queue_)), rules(memory), charge(memory) {
    charge.add(kBytes);
  }
  uint32_t vocab_size() const { return queue->service.info().vocab_size; }

  const std::shared_ptr<QueueObject> queue;
  engine::ForwardPass pass;
  PassRules rules;                      ///< pass.rules to be
  model::AdapterRef adapter;            ///< of set-adapter: pass.adapter to be, or
  std::optional<int64_t> adapter_seed;  ///< ... its candidate with this seed
  Charge charge;
};

/// Hands the pass to the engine and leaves the object empty, ready to be filled again, whatever
/// comes of it. Nothing when the pass asks for nothing that comes back. An error says what is wrong
/// with the pass (kInvalidArgument), or which limit it meets.
Result<std::optional<std::shared_ptr<PassResult>>> hand_over(InstanceState& state,
                                                             PassObject& self);

}  // namespace pie::host
