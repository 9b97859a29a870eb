#pragma once
#include <cstdint>
#include <deque>

namespace pie::engine {

/// Speed over the last seconds of work; time without work does not count.
class Throughput {
 public:
  /// A turn of the loop that executed a step: its whole time, the step's own, tokens generated.
  void add(uint64_t turn_ns, uint64_t step_ns, uint32_t generated);
  double tokens_per_second() const;
  double step_ms_mean() const;

 private:
  struct Turn {
    uint64_t turn_ns;
    uint64_t step_ns;
    uint32_t generated;
  };
  std::deque<Turn> turns_;
  Turn sum_{};
};

}  // namespace pie::engine
