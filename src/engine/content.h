#pragma once
#include <cstdint>

#include "engine/forward_pass.h"
#include "kv/prefix_cache.h"

namespace pie::engine {

/// Rewrites the mask, if there is one, row by row into the one way to say the same: without empty
/// runs, cut at the token's own slot, without what is masked at the end; and drops it when it is
/// causal. `context_len`: slots before the pass.
void simplify_mask(ForwardPass& pass, uint32_t context_len);

/// What a pass with a simplified mask writes into its pages, for the prefix cache; `domain` 0 or an
/// embedding among the inputs: not known.
kv::PassContent content_of(const ForwardPass& pass, uint32_t context_len, uint32_t domain);

}  // namespace pie::engine
