#include "engine/step_budget.h"

#include <algorithm>

namespace pie::engine {
namespace {

/// Before anything is known: an 8B model on two cores takes a second for them.
constexpr uint32_t kTokensAtFirst = 64;

}  // namespace

StepBudget::StepBudget(uint64_t step_ns_max, uint32_t tokens_max)
    : step_ns_max_(step_ns_max),
      tokens_max_(tokens_max),
      tokens_(step_ns_max == 0 ? tokens_max : std::min(tokens_max, kTokensAtFirst)) {}

void StepBudget::took(sched::StepKind kind, uint32_t tokens, uint64_t ns) {
  if (step_ns_max_ == 0 || tokens == 0 || ns == 0) return;
  if (kind == sched::StepKind::kDecodes) {
    decode_ns_ = decode_ns_ == 0 ? ns : decode_ns_ - decode_ns_ / 8 + ns / 8;
    return;
  }
  const uint64_t bound = std::max(step_ns_max_, 2 * decode_ns_);
  const auto fitting = static_cast<uint64_t>(static_cast<double>(tokens) *
                                             static_cast<double>(bound) / static_cast<double>(ns));
  // What a token costs falls with their number, so that what follows from a larger step fits.
  const bool says_what_fits = tokens >= tokens_ || ns > bound;
  if (!says_what_fits) return;
  const uint64_t most =
      tokens >= tokens_ ? std::min<uint64_t>(tokens_max_, uint64_t{tokens} * 2) : tokens_;
  tokens_ = static_cast<uint32_t>(std::clamp<uint64_t>(fitting, 1, most));
}

}  // namespace pie::engine
