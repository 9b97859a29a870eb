#pragma once
#include <limits>
#include <optional>
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

/// Finds ranges that hold a share of the probability, without sorting. Keeps scratch memory: one
/// object per thread.
class MassRange {
 public:
  /// What is typical (Meister et al., 2022): the logits of the range whose surprise -ln p is
  /// closest to the entropy, as many as reach the probability `mass` (at least one); of what is
  /// equally close all. p and entropy are of what is in the range, which is not empty; softmax.max
  /// is its greatest logit.
  LogitRange typical(std::span<const float> logits, const Softmax& softmax, const LogitRange& range,
                     float mass);
  /// The greatest logits whose weights reach `weight` (at least one of them), as few as do. Nothing
  /// where that parts equal ones.
  std::optional<LogitRange> nucleus(std::span<const float> logits, const Softmax& softmax,
                                    double weight);

 private:
  struct Deviating {
    float deviation;
    float logit;
    bool operator<(const Deviating& other) const { return deviation < other.deviation; }
  };
  struct Closest {
    float deviation;   ///< up to here the weights reach what is wanted
    bool parts_equal;  ///< fewer of those at that deviation would do
  };
  /// Of the logits of the range those whose depth (max - logit) * scale is closest to `center`, as
  /// many as reach the weight `wanted`. Leaves those near the last one in nearby_.
  Closest closest(std::span<const float> logits, const Softmax& softmax, const LogitRange& range,
                  float center, double wanted);
  float deviation_at(const Softmax& softmax, double weight);

  std::vector<Deviating> nearby_;
};

}  // namespace pie::sample
