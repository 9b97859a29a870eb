#include "exec/thread_chooser.h"

#include <algorithm>
#include <bit>

namespace pie::exec {
namespace {

/// Steps between trials of a count that costs as much as the current one. A trial of one that costs
/// r times as much is r times as rare.
constexpr double kTrialInterval = 50.0;
constexpr double kWaitMax = 4096.0;
/// Weight of the newest step in the running mean of the count in use.
constexpr double kNewest = 0.3;

}  // namespace

ThreadChooser::ThreadChooser(uint32_t count_max) {
  for (uint32_t count = std::max(count_max, 1U); count > 0; count /= 2)
    candidates_.push_back(count);
  for (Bucket& bucket : buckets_) {
    bucket.cost.assign(candidates_.size(), 0.0);
    bucket.trial = candidates_.size() > 1 ? 1 : 0;
  }
}

uint32_t ThreadChooser::bucket_of(uint32_t rows) {
  const auto log2 = static_cast<uint32_t>(std::bit_width(std::max(rows, 1U))) - 1;
  return std::min(log2, kBucketCount - 1);
}

uint32_t ThreadChooser::choose(uint32_t rows) {
  const uint32_t index = bucket_of(rows);
  if (index == kBucketCount - 1) return candidates_[0];
  const Bucket& bucket = buckets_[index];
  return candidates_[bucket.steps >= bucket.wait ? bucket.trial : bucket.current];
}

void ThreadChooser::plan_trial(Bucket& bucket) const {
  bucket.steps = 0;
  // Neighbours of the current count in turn: first the other side of the last trial.
  const auto count = static_cast<uint32_t>(candidates_.size());
  const uint32_t lower = bucket.current + 1 < count ? bucket.current + 1 : bucket.current;
  const uint32_t higher = bucket.current > 0 ? bucket.current - 1 : bucket.current;
  bucket.trial = bucket.trial > bucket.current ? higher : lower;
  if (bucket.trial == bucket.current) bucket.trial = lower != bucket.current ? lower : higher;
}

void ThreadChooser::report(uint32_t rows, uint32_t threads, double seconds) {
  const uint32_t index = bucket_of(rows);
  if (index == kBucketCount - 1 || candidates_.size() == 1) return;
  Bucket& bucket = buckets_[index];
  const auto at = static_cast<uint32_t>(std::find(candidates_.begin(), candidates_.end(), threads) -
                                        candidates_.begin());
  if (at == candidates_.size()) return;
  const double cost = seconds / rows;
  ++bucket.steps;
  double& known = bucket.cost[at];
  if (at != bucket.current || known == 0.0) {
    known = cost;
  } else {
    known += kNewest * (cost - known);
  }
  // The cheapest of what is known.
  uint32_t best = bucket.current;
  for (uint32_t i = 0; i < bucket.cost.size(); ++i) {
    if (bucket.cost[i] > 0.0 && bucket.cost[i] < bucket.cost[best]) best = i;
  }
  const bool was_trial = at != bucket.current;
  if (best != bucket.current) {
    bucket.current = best;
    bucket.wait = kFirstWait;
    plan_trial(bucket);
  } else if (was_trial) {
    const double ratio = cost / std::max(bucket.cost[bucket.current], 1e-12);
    const double most = std::min(kTrialInterval * std::max(ratio, 1.0), kWaitMax);
    bucket.wait = static_cast<uint32_t>(std::min(bucket.wait * 2.0, most));
    plan_trial(bucket);
  }
}

}  // namespace pie::exec
