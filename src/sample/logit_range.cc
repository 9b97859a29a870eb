#include "sample/logit_range.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "sample/vector_math.h"

namespace pie::sample {
namespace {

/// What a loop knows of the draw.
struct RangeOfSoftmax {
  Softmax softmax;
  LogitRange range;
};
/// Deviations from a surprise, and the weights with them.
struct DeviationPiece {
  alignas(64) float deviations[kPiece];
  alignas(64) float weights[kPiece];
};
constexpr float kFar = std::numeric_limits<float>::infinity();

PIE_INLINE float sum_body(const float* x, size_t count, const RangeOfSoftmax& of) {
  const RangeOfSoftmax to = of;
  float weights[kPiece];
  for (size_t i = 0; i < count; ++i) {
    const float logit = clean_one(x[i]);
    const float w = exp_one((logit - to.softmax.max) * to.softmax.scale);
    const float from_least = logit >= to.range.least ? w : 0.0F;
    weights[i] = logit <= to.range.most ? from_least : 0.0F;
  }
  return sum_lanes(weights, count);
}

PIE_INLINE void ends_body(const float* x, size_t count, const LogitRange& range, LogitRange& ends) {
  const LogitRange in = range;
  float low[kLanes];
  float high[kLanes];
  for (size_t j = 0; j < kLanes; ++j) low[j] = -kNoLogit, high[j] = kNoLogit;
  float rest[kLanes];
  for (size_t i = 0; i < count; i += kLanes) {
    const float* group = x + i;
    if (i + kLanes > count) {
      for (size_t j = 0; j < kLanes; ++j) rest[j] = i + j < count ? x[i + j] : kNoLogit;
      group = rest;
    }
    for (size_t j = 0; j < kLanes; ++j) {
      const float logit = clean_one(group[j]);
      const float from_least = logit >= in.least ? logit : -kNoLogit;
      const float to_least = logit <= in.most ? from_least : -kNoLogit;
      low[j] = to_least < low[j] ? to_least : low[j];
      const float to_most = to_least < -kNoLogit ? logit : kNoLogit;
      high[j] = to_most > high[j] ? to_most : high[j];
    }
  }
  for (size_t j = 0; j < kLanes; ++j) {
    ends.least = low[j] < ends.least ? low[j] : ends.least;
    ends.most = high[j] > ends.most ? high[j] : ends.most;
  }
}

/// How far each surprise lies from `center`, both in nats over the best one's.
PIE_INLINE void deviations_body(const float* x, size_t count, const RangeOfSoftmax& of,
                                float center, DeviationPiece& piece) {
  const RangeOfSoftmax to = of;
  for (size_t i = 0; i < count; ++i) {
    const float logit = clean_one(x[i]);
    const float exponent = (logit - to.softmax.max) * to.softmax.scale;
    const float off = center + exponent;
    const float distance = off < 0.0F ? -off : off;
    const float w = exp_one(exponent);
    const float near_least = logit >= to.range.least ? distance : kFar;
    const float w_least = logit >= to.range.least ? w : 0.0F;
    piece.deviations[i] = logit <= to.range.most ? near_least : kFar;
    piece.weights[i] = logit <= to.range.most ? w_least : 0.0F;
  }
}

float sum_baseline(const float* x, size_t count, const RangeOfSoftmax& of) {
  return sum_body(x, count, of);
}
void ends_baseline(const float* x, size_t count, const LogitRange& range, LogitRange& ends) {
  ends_body(x, count, range, ends);
}
void deviations_baseline(const float* x, size_t count, const RangeOfSoftmax& of, float center,
                         DeviationPiece& piece) {
  deviations_body(x, count, of, center, piece);
}
PIE_AVX2 float sum_avx2(const float* x, size_t count, const RangeOfSoftmax& of) {
  return sum_body(x, count, of);
}
PIE_AVX2 void ends_avx2(const float* x, size_t count, const LogitRange& range, LogitRange& ends) {
  ends_body(x, count, range, ends);
}
PIE_AVX2 void deviations_avx2(const float* x, size_t count, const RangeOfSoftmax& of, float center,
                              DeviationPiece& piece) {
  deviations_body(x, count, of, center, piece);
}
const auto kSum = has_avx2() ? sum_avx2 : sum_baseline;
const auto kEnds = has_avx2() ? ends_avx2 : ends_baseline;
const auto kDeviations = has_avx2() ? deviations_avx2 : deviations_baseline;

/// Calls visit(first, count) for each piece of the row.
template <class Visit>
void for_pieces(std::span<const float> logits, Visit visit) {
  for (size_t i = 0; i < logits.size(); i += kPiece)
    visit(logits.data() + i, std::min(kPiece, logits.size() - i));
}

/// Deviations are first told apart by bins of this width, in nats; what is farther shares the last.
constexpr float kBinsPerNat = 32.0F;
constexpr size_t kBins = 640;

size_t bin_of(float deviation) {
  return static_cast<size_t>(std::min(deviation * kBinsPerNat, static_cast<float>(kBins - 1)));
}

}  // namespace

double sum_weights(std::span<const float> logits, const Softmax& softmax, const LogitRange& range) {
  double sum = 0;
  const RangeOfSoftmax of{softmax, range};
  for_pieces(logits, [&](const float* x, size_t count) { sum += kSum(x, count, of); });
  return sum;
}

LogitRange ends_of(std::span<const float> logits, const LogitRange& range) {
  LogitRange ends{.least = -kNoLogit, .most = kNoLogit};
  kEnds(logits.data(), logits.size(), range, ends);
  return ends;
}

float TypicalSet::deviation_at(double mass) {
  // A quickselect by weight: what is before `begin` is closer, what is behind `end` is not needed.
  size_t begin = 0;
  size_t end = weighted_.size();
  double sum = 0;
  while (end - begin > 1) {
    const size_t middle = begin + (end - begin) / 2;
    const auto first = weighted_.begin();
    std::nth_element(first + static_cast<ptrdiff_t>(begin), first + static_cast<ptrdiff_t>(middle),
                     first + static_cast<ptrdiff_t>(end));
    double nearer = 0;
    for (size_t i = begin; i < middle; ++i) nearer += weighted_[i].weight;
    if (sum + nearer >= mass) {
      end = middle;
    } else {
      begin = middle;
      sum += nearer;
    }
  }
  return weighted_[begin].deviation;
}

LogitRange TypicalSet::narrow(std::span<const float> logits, const Softmax& softmax,
                              const LogitRange& range, float mass) {
  const RangeOfSoftmax of{softmax, range};
  DeviationPiece piece;
  // With depths d = (max - logit) * scale: surprise ln W + d, entropy ln W + center.
  double total = 0;
  double depths = 0;
  for_pieces(logits, [&](const float* x, size_t count) {
    kDeviations(x, count, of, 0.0F, piece);
    float products[kPiece];
    for (size_t i = 0; i < count; ++i)
      products[i] = piece.weights[i] > 0.0F ? piece.weights[i] * piece.deviations[i] : 0.0F;
    depths += sum_lanes(products, count);
    total += sum_lanes(piece.weights, count);
  });
  const auto center = static_cast<float>(depths / total);
  std::array<double, kBins> sums{};
  for_pieces(logits, [&](const float* x, size_t count) {
    kDeviations(x, count, of, center, piece);
    for (size_t i = 0; i < count; ++i) sums[bin_of(piece.deviations[i])] += piece.weights[i];
  });
  const double wanted = total * std::max(double{mass}, 0.0);
  size_t bin = 0;
  double nearer = 0;
  // What is out of the range weighs nothing, and would be in the last bin.
  while (bin + 1 < kBins && (nearer + sums[bin] < wanted || sums[bin] <= 0)) nearer += sums[bin++];
  weighted_.clear();
  for_pieces(logits, [&](const float* x, size_t count) {
    kDeviations(x, count, of, center, piece);
    for (size_t i = 0; i < count; ++i) {
      if (piece.deviations[i] < kFar && bin_of(piece.deviations[i]) == bin)
        weighted_.push_back({piece.deviations[i], piece.weights[i]});
    }
  });
  // Where rounding leaves nothing, all of the range is typical.
  const float deviation =
      weighted_.empty() ? std::numeric_limits<float>::max() : deviation_at(wanted - nearer);
  LogitRange kept{.least = -kNoLogit, .most = kNoLogit};
  for_pieces(logits, [&](const float* x, size_t count) {
    kDeviations(x, count, of, center, piece);
    for (size_t i = 0; i < count; ++i) {
      if (!(piece.deviations[i] <= deviation)) continue;
      kept.least = std::min(kept.least, clean_one(x[i]));
      kept.most = std::max(kept.most, clean_one(x[i]));
    }
  });
  return kept;
}

}  // namespace pie::sample
