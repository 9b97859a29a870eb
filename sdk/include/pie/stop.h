#pragma once
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <vector>

#include "pie/model.h"

namespace inferlet {

/// When generation ends: `Stop::max_len(256) | Stop::end_of_turn(model)`.
class Stop {
 public:
  /// After `count` tokens.
  static Stop max_len(size_t count);
  /// As soon as the tokens end with one of these sequences, which is not part of the answer.
  static Stop ends_with_any(std::vector<std::vector<uint32_t>> sequences);
  /// At one of the tokens by which the model ends its turn.
  static Stop end_of_turn(const Model& model);

  /// Whichever comes first.
  friend Stop operator|(Stop a, const Stop& b);

  struct Verdict {
    bool stop = false;
    /// How many of the last tokens are not part of the answer: the whole end sequence when `stop`,
    /// else the beginning of one, which may yet turn out to be text.
    size_t withheld = 0;
  };
  Verdict check(std::span<const uint32_t> generated) const;

 private:
  size_t max_len_ = std::numeric_limits<size_t>::max();
  std::vector<std::vector<uint32_t>> sequences_;
};

}  // namespace inferlet
