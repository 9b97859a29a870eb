#pragma once
#include <cstdint>

#include "base/result.h"
#include "engine/engine_limits.h"
#include "engine/forward_pass.h"

namespace pie::engine {

/// Outputs that a pass may ask for at one index: what is drawn there holds up the whole step.
constexpr uint32_t kOutputsPerIndexMax = 64;

/// Everything about a pass that can be checked without the instance's pointers: inputs, lengths,
/// indices, mask, rules, tokens, pages that are named twice. kInvalidArgument names the value and
/// the bound.
Result<void> check_pass(const ForwardPass& pass, const EngineLimits& limits);

}  // namespace pie::engine
