#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/forward_pass.h"
#include "host/host_memory.h"
#include "sample/logit_rules.h"

namespace pie::host {

/// What a program does to the logits of a pass that it fills: a rule for each index, made by calls
/// that follow each other. Indices of one call share theirs. Charged until the engine is done with
/// it.
class PassRules {
 public:
  /// Penalties, by token, and biases, by token, are ascending, each of different tokens.
  using Change = std::function<void(sample::LogitRules&)>;

  explicit PassRules(std::shared_ptr<HostMemory> memory) : memory_(std::move(memory)) {}

  /// Changes the rule of each index. `items`: how many penalties, biases or words it may add. On
  /// an error nothing is changed: no memory, a rule that forbids everything, numbers that are no
  /// longer finite.
  Result<void> change(std::span<const uint32_t> indices, size_t items, uint32_t vocab_size,
                      const Change& change);
  /// What there is, and none left.
  std::vector<engine::RowRules> take();

 private:
  struct ChargedRules {
    sample::LogitRules rules;
    Charge charge;
  };
  using ChargedRef = std::shared_ptr<ChargedRules>;
  Result<ChargedRef> changed(const ChargedRef& from, size_t items, uint32_t vocab_size,
                             const Change& change) const;

  std::shared_ptr<HostMemory> memory_;
  std::map<uint32_t, ChargedRef> by_index_;
};

}  // namespace pie::host
