#pragma once
#include <array>
#include <cstdint>
#include <vector>

namespace pie::exec {

/// Chooses the thread count of each step by measuring, also while other work runs.
///
/// The threads of a step meet after every part of it (some hundred times). When programs want the
/// same cores, one preempted thread stops all, and a step on two threads was seen to take 50 times
/// as long as on one. So small steps use the count that was the fastest lately, and the others are
/// tried again from time to time, the rarer the worse they are (at most 2 % of the time). Steps of
/// many rows work long between meetings and always take all threads. Thread: engine only.
class ThreadChooser {
 public:
  explicit ThreadChooser(uint32_t count_max);

  /// Threads for the next step, of `rows` rows.
  uint32_t choose(uint32_t rows);
  /// What the step that was just chosen for took.
  void report(uint32_t rows, uint32_t threads, double seconds);

 private:
  static constexpr uint32_t kBucketCount = 7;  ///< steps of 1, 2-3, 4-7, ... rows; the last: 64 on
  static constexpr uint32_t kFirstWait = 4;    ///< steps before the first trial of another count

  struct Bucket {
    std::vector<double> cost;  ///< seconds a row, by candidate; 0 = unknown
    uint32_t current = 0;      ///< index of the candidate in use
    uint32_t trial = 0;        ///< index of the candidate to try next
    uint32_t wait = kFirstWait;
    uint32_t steps = 0;  ///< since the last trial
  };
  static uint32_t bucket_of(uint32_t rows);
  void plan_trial(Bucket& bucket) const;

  std::vector<uint32_t> candidates_;  ///< all threads, half of them, ..., one
  std::array<Bucket, kBucketCount> buckets_;
};

}  // namespace pie::exec
