#pragma once
#include <string>
#include <vector>

#include "pie/context.h"

namespace inferlet {

struct BeamAnswer {
  std::string text;
  std::vector<uint32_t> tokens;  ///< without the end sequence
  double log_probability = 0.0;  ///< of all generated tokens, the end sequence included
};

/// Beam search: the most probable of the `width` continuations of `start` that were kept at every
/// length, until `stop`. The beams of one length run in one batch and share their full pages.
/// `start` outlives the task, and stays as it is.
Task<Result<BeamAnswer>> beam_search(const Context& start, size_t width, Stop stop);

}  // namespace inferlet
