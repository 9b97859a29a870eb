#include "sample/logit_range.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "sample/vector_math.h"

namespace pie::sample {
namespace {

/// What a loop knows of the draw.
struct RangeOfSoftmax {
  Softmax softmax;
  LogitRange range;
};
/// Deviations are first told apart by bins of this width, in nats; what is farther shares the last.
constexpr float kBinsPerNat = 32.0F;
constexpr size_t kBins = 640;

/// Deviations from a surprise, their bins, and the weights with them.
struct DeviationPiece {
  alignas(64) float deviations[kPiece];
  alignas(64) float weights[kPiece];
  alignas(64) int32_t bins[kPiece];
};
constexpr float kLastBin = static_cast<float>(kBins - 1);
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
    const float deviation = logit <= to.range.most ? near_least : kFar;
    piece.deviations[i] = deviation;
    piece.weights[i] = logit <= to.range.most ? w_least : 0.0F;
    const float place = deviation * kBinsPerNat;
    piece.bins[i] = static_cast<int32_t>(place < kLastBin ? place : kLastBin);
  }
}

/// The same without weights; whether one lies in [low, high).
PIE_INLINE bool distances_body(const float* x, size_t count, const RangeOfSoftmax& of, float center,
                               float low, float high, float* deviations) {
  const RangeOfSoftmax to = of;
  for (size_t i = 0; i < count; ++i) {
    const float logit = clean_one(x[i]);
    const float off = center + (logit - to.softmax.max) * to.softmax.scale;
    const float distance = off < 0.0F ? -off : off;
    const float near_least = logit >= to.range.least ? distance : kFar;
    deviations[i] = logit <= to.range.most ? near_least : kFar;
  }
  uint32_t found = 0;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t from_low = deviations[i] >= low ? 1 : 0;
    found |= deviations[i] < high ? from_low : 0;
  }
  return found != 0;
}

/// Widens `kept` to the logits that deviate from `center` by no more than `deviation`.
PIE_INLINE void keep_body(const float* x, size_t count, const RangeOfSoftmax& of, float center,
                          float deviation, LogitRange& kept) {
  float deviations[kPiece];
  distances_body(x, count, of, center, 0, kFar, deviations);
  for (size_t i = count; i % kLanes != 0; ++i) deviations[i] = kFar;
  float rest[kPiece];
  for (size_t i = 0; i < count; ++i) rest[i] = clean_one(x[i]);
  for (size_t i = count; i % kLanes != 0; ++i) rest[i] = 0;
  float low[kLanes];
  float high[kLanes];
  for (size_t j = 0; j < kLanes; ++j) low[j] = kept.least, high[j] = kept.most;
  for (size_t i = 0; i < count; i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) {
      const float below = deviations[i + j] <= deviation ? rest[i + j] : -kNoLogit;
      const float above = deviations[i + j] <= deviation ? rest[i + j] : kNoLogit;
      low[j] = below < low[j] ? below : low[j];
      high[j] = above > high[j] ? above : high[j];
    }
  }
  for (size_t j = 0; j < kLanes; ++j) {
    kept.least = low[j] < kept.least ? low[j] : kept.least;
    kept.most = high[j] > kept.most ? high[j] : kept.most;
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
bool distances_baseline(const float* x, size_t count, const RangeOfSoftmax& of, float center,
                        float low, float high, float* deviations) {
  return distances_body(x, count, of, center, low, high, deviations);
}
PIE_AVX2 bool distances_avx2(const float* x, size_t count, const RangeOfSoftmax& of, float center,
                             float low, float high, float* deviations) {
  return distances_body(x, count, of, center, low, high, deviations);
}
void keep_baseline(const float* x, size_t count, const RangeOfSoftmax& of, float center,
                   float deviation, LogitRange& kept) {
  keep_body(x, count, of, center, deviation, kept);
}
PIE_AVX2 void keep_avx2(const float* x, size_t count, const RangeOfSoftmax& of, float center,
                        float deviation, LogitRange& kept) {
  keep_body(x, count, of, center, deviation, kept);
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
const auto kDistances = has_avx2() ? distances_avx2 : distances_baseline;
const auto kKeep = has_avx2() ? keep_avx2 : keep_baseline;
const auto kDeviations = has_avx2() ? deviations_avx2 : deviations_baseline;

/// Calls visit(first, count) for each piece of the row.
template <class Visit>
void for_pieces(std::span<const float> logits, Visit visit) {
  for (size_t i = 0; i < logits.size(); i += kPiece)
    visit(logits.data() + i, std::min(kPiece, logits.size() - i));
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

float MassRange::deviation_at(const Softmax& softmax, double mass) {
  // A quickselect by weight: what is before `begin` is closer, what is behind `end` is not needed.
  size_t begin = 0;
  size_t end = nearby_.size();
  double sum = 0;
  while (end - begin > 1) {
    const size_t middle = begin + (end - begin) / 2;
    const auto first = nearby_.begin();
    std::nth_element(first + static_cast<ptrdiff_t>(begin), first + static_cast<ptrdiff_t>(middle),
                     first + static_cast<ptrdiff_t>(end));
    double nearer = 0;
    for (size_t i = begin; i < middle; ++i) nearer += weight(softmax, nearby_[i].logit);
    if (sum + nearer >= mass) {
      end = middle;
    } else {
      begin = middle;
      sum += nearer;
    }
  }
  return nearby_[begin].deviation;
}

MassRange::Closest MassRange::closest(std::span<const float> logits, const Softmax& softmax,
                                      const LogitRange& range, float center, double wanted) {
  const RangeOfSoftmax of{softmax, range};
  DeviationPiece piece;
  std::array<double, kBins> sums{};
  for_pieces(logits, [&](const float* x, size_t count) {
    kDeviations(x, count, of, center, piece);
    for (size_t i = 0; i < count; ++i) sums[static_cast<size_t>(piece.bins[i])] += piece.weights[i];
  });
  size_t bin = 0;
  double nearer = 0;
  // What is out of the range weighs nothing, and would be in the last bin.
  while (bin + 1 < kBins && (nearer + sums[bin] < wanted || sums[bin] <= 0)) nearer += sums[bin++];
  const float low = static_cast<float>(bin) / kBinsPerNat;
  const float high = bin + 1 < kBins ? static_cast<float>(bin + 1) / kBinsPerNat : kFar;
  nearby_.clear();
  for_pieces(logits, [&](const float* x, size_t count) {
    if (!kDistances(x, count, of, center, low, high, piece.deviations)) return;
    for (size_t i = 0; i < count; ++i) {
      const float deviation = piece.deviations[i];
      if (deviation >= low && deviation < high) nearby_.push_back({deviation, clean_one(x[i])});
    }
  });
  // Where rounding leaves nothing, it takes all of the range.
  if (nearby_.empty()) return {std::numeric_limits<float>::max(), false};
  const float deviation = deviation_at(softmax, wanted - nearer);
  size_t equal = 0;
  double weight_of_one = 0;
  for (const Deviating& one : nearby_) {
    if (one.deviation < deviation) nearer += weight(softmax, one.logit);
    if (one.deviation == deviation) ++equal, weight_of_one = weight(softmax, one.logit);
  }
  const double with_fewer = nearer + static_cast<double>(equal - 1) * weight_of_one;
  return {deviation, equal > 1 && with_fewer >= wanted};
}

LogitRange MassRange::typical(std::span<const float> logits, const Softmax& softmax,
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
  const double wanted = total * std::max(double{mass}, 0.0);
  const Closest found = closest(logits, softmax, range, center, wanted);
  LogitRange kept{.least = -kNoLogit, .most = kNoLogit};
  for_pieces(logits, [&](const float* x, size_t count) {
    kKeep(x, count, of, center, found.deviation, kept);
  });
  return kept;
}

std::optional<LogitRange> MassRange::nucleus(std::span<const float> logits, const Softmax& softmax,
                                             double weight) {
  const LogitRange all;
  const Closest found = closest(logits, softmax, all, 0.0F, weight);
  if (found.parts_equal) return std::nullopt;
  LogitRange kept{.least = softmax.max, .most = softmax.max};
  for (const Deviating& one : nearby_) {
    if (one.deviation <= found.deviation) kept.least = std::min(kept.least, one.logit);
  }
  return kept;
}

}  // namespace pie::sample
