#pragma once
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/result.h"
#include "engine/forward_pass.h"
#include "engine/commands/pass.h"

namespace pie::engine {

/// The bounds that commands are checked against.
struct EngineLimits {
  uint32_t vocab_size = 0;
  uint32_t embedding_size = 0;  ///< f32 values of an embedding slot
  uint32_t page_count = 0;
  uint32_t page_size = 0;
  uint32_t step_tokens_max = 0;
};

/// Outputs that a pass may ask for at one index: what is drawn there holds up the whole step.
constexpr uint32_t kOutputsPerIndexMax = 64;

/// Everything about a pass that can be checked without the instance's pointers: inputs, lengths,
/// indices, mask, pages that are named twice. kInvalidArgument names the value and the bound.
Result<void> validate_pass(const ForwardPass& pass, const EngineLimits& limits);

/// What is said of a pointer that stands for nothing.
Error unmapped_error(std::string_view call, std::string_view kind, uint32_t pointer);

/// The resource type, or kInvalidArgument (unknown) or kUnsupported (adapters).
Result<ResourceType> parse_resource_type(std::string_view call, uint32_t resource_type);

/// What the engine needs of a valid pass, all but its pointers. Inputs, pages and embedding outputs
/// stay in `pass`. `domain`: who may share what it computes.
std::unique_ptr<PendingPass> take_pass(ForwardPass& pass, ForwardCallback done,
                                       const EngineLimits& limits, uint32_t domain);

}  // namespace pie::engine
