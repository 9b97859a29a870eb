#pragma once
#include <limits>
#include <span>
#include <vector>

#include "sample/softmax.h"

namespace pie::sample {

/// The logits that are still in a draw: from `least` to `most`, both included. Whatever filters do
/// after top-k and top-p leaves such a range.
struct LogitRange {
  float least = std::numeric_limits<float>::lowest();
  float most = std::numeric_limits<float>::max();
};

/// Sum of the weights of the logits in the range.
double sum_weights(std::span<const float> logits, const Softmax& softmax, const LogitRange& range);

/// The ends of what lies in the range: the least and the greatest logit; least > most when nothing
/// does.
LogitRange ends_of(std::span<const float> logits, const LogitRange& range);

/// Narrows ranges to what is typical (Meister et al., 2022). Keeps scratch memory: one object per
/// thread.
class TypicalSet {
 public:
  /// The logits of the range whose surprise -ln p is closest to the entropy, as many as reach the
  /// probability `mass` (at least one); of what is equally close all. p and entropy are of what is
  /// in the range, which is not empty; softmax.max is its greatest logit.
  LogitRange narrow(std::span<const float> logits, const Softmax& softmax, const LogitRange& range,
                    float mass);

 private:
  struct Weighted {
    float deviation;
    float weight;
    bool operator<(const Weighted& other) const { return deviation < other.deviation; }
  };
  /// The least deviation up to which the weights of weighted_ reach `mass`.
  float deviation_at(double mass);

  std::vector<Weighted> weighted_;
};

}  // namespace pie::sample
