#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/strong_id.h"
#include "sample/softmax.h"

namespace pie::sample {

/// A clean logit and whose it is.
struct Candidate {
  float logit;
  TokenId id;
  bool operator<(const Candidate& other) const {  // the better one first
    return logit != other.logit ? logit > other.logit : id < other.id;
  }
};

/// The best tokens of a row. Keeps scratch memory: one object per thread.
class Candidates {
 public:
  std::span<const Candidate> all() const { return all_; }

  /// The k best, best first.
  void select(std::span<const float> logits, uint32_t k);
  /// How many of all() reach `mass` (at least 1); their count + 1 when all do not.
  size_t count_to_mass(const Softmax& softmax, double mass) const;
  /// Fill all() so that the first n are the smallest set that reaches `mass`; return n >= 1. The
  /// first gives none when they are too many to be sorted.
  std::optional<size_t> nucleus_of_few(std::span<const float> logits, const Softmax& softmax,
                                       double mass);
  size_t nucleus_of_all(std::span<const float> logits, const Softmax& softmax, double mass);

 private:
  /// The logits from `bar` on, by the maxima of their blocks; false when they are more than
  /// `count_max`.
  bool gather(std::span<const float> logits, float bar, size_t count_max);

  std::vector<Candidate> all_;
  std::vector<float> maxima_;  // by block of the row
};

}  // namespace pie::sample
