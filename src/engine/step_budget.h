#pragma once
#include <cstdint>

#include "sched/command.h"

namespace pie::engine {

/// How many tokens a step may hold while programs decode beside longer passes, so that it takes no
/// longer than `step_ns_max`: follows what steps have taken, since that differs between machines,
/// models and contexts a hundredfold. Where a step of decodes alone takes more than half of that,
/// the bound is twice such a step: a prompt would else never come to its end.
///
/// No threads, no clock.
class StepBudget {
 public:
  /// `step_ns_max` 0: `tokens_max` always, the budget of any step.
  StepBudget(uint64_t step_ns_max, uint32_t tokens_max);

  uint32_t tokens() const { return tokens_; }
  /// A step of `tokens` took `ns`.
  void took(sched::StepKind kind, uint32_t tokens, uint64_t ns);

 private:
  const uint64_t step_ns_max_;
  const uint32_t tokens_max_;
  uint32_t tokens_;
  uint64_t decode_ns_ = 0;  // of a step of decodes alone, lately; 0: not known
};

}  // namespace pie::engine
