#include "pie/draft.h"

#include <algorithm>

namespace inferlet {

int32_t Draft::child(int32_t node, uint32_t token) const {
  for (size_t i = static_cast<size_t>(node + 1); i < tokens.size(); ++i) {
    if (parent(i) == node && tokens[i] == token) return static_cast<int32_t>(i);
  }
  return -1;
}

Task<Draft> PromptLookup::draft(std::span<const uint32_t> tokens) {
  Draft draft;
  if (tokens.size() <= match_) co_return draft;
  const auto last = tokens.last(match_);
  // The latest place is the likeliest to go on in the same way.
  for (size_t at = tokens.size() - match_; at-- > 0;) {
    if (!std::ranges::equal(tokens.subspan(at, match_), last)) continue;
    const auto rest = tokens.subspan(at + match_);
    const auto guess = rest.first(std::min(rest.size(), length_));
    draft.tokens.assign(guess.begin(), guess.end());
    break;
  }
  co_return draft;
}

void PromptLookup::learn(size_t proposed, size_t accepted) {
  if (proposed == 0) return;
  length_ = accepted == proposed ? std::min(draft_max_, length_ * 2)
                                 : std::max<size_t>(1, std::min(length_, accepted + 1));
}

}  // namespace inferlet
