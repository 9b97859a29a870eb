#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string_view>
#include <vector>

#include "pie/model.h"

namespace inferlet {

/// When generation ends: `Stop::max_len(256) | Stop::end_of_turn(model)`. A default one never ends
/// it.
class Stop {
 public:
  /// After `count` tokens.
  static Stop max_len(size_t count);
  /// As soon as the tokens end with one of these sequences, which is not part of the answer.
  static Stop ends_with_any(std::vector<std::vector<uint32_t>> sequences);
  /// At one of the tokens by which the model ends its turn.
  static Stop end_of_turn(const Model& model);

  /// When the program says so of the tokens generated so far; all of them are part of the answer.
  using Condition = std::function<bool(std::span<const uint32_t>)>;
  static Stop when(Condition condition);

  /// Whichever comes first.
  friend Stop operator|(Stop a, const Stop& b);
  /// When both hold at the same token: `Stop::max_len(20) & Stop::end_of_turn(model)` ends at the
  /// first end of a turn after 20 tokens.
  friend Stop operator&(Stop a, Stop b);

  struct Verdict {
    bool stop = false;
    /// How many of the last tokens are not part of the answer: the whole end sequence when `stop`,
    /// else the beginning of one, which may yet turn out to be text.
    size_t withheld = 0;
  };
  Verdict check(std::span<const uint32_t> generated) const;

  /// Whether a function of the program decides, beside what follows.
  bool asks_program() const { return static_cast<bool>(rule_); }
  size_t tokens_max() const { return max_len_; }
  const std::vector<std::vector<uint32_t>>& sequences() const { return sequences_; }

 private:
  // Any of these.
  size_t max_len_ = std::numeric_limits<size_t>::max();
  std::vector<std::vector<uint32_t>> sequences_;
  std::function<Verdict(std::span<const uint32_t>)> rule_;
};

}  // namespace inferlet
