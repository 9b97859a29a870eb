#include "engine/throughput.h"

namespace pie::engine {
namespace {
constexpr uint64_t kWindowNs = 5'000'000'000;
}

void Throughput::add(uint64_t turn_ns, uint64_t step_ns, uint32_t generated) {
  turns_.push_back({turn_ns, step_ns, generated});
  sum_.turn_ns += turn_ns;
  sum_.step_ns += step_ns;
  sum_.generated += generated;
  while (turns_.size() > 1 && sum_.turn_ns - turns_.front().turn_ns >= kWindowNs) {
    sum_.turn_ns -= turns_.front().turn_ns;
    sum_.step_ns -= turns_.front().step_ns;
    sum_.generated -= turns_.front().generated;
    turns_.pop_front();
  }
}

double Throughput::tokens_per_second() const {
  if (sum_.turn_ns == 0) return 0;
  return static_cast<double>(sum_.generated) * 1e9 / static_cast<double>(sum_.turn_ns);
}

double Throughput::step_ms_mean() const {
  if (turns_.empty()) return 0;
  return static_cast<double>(sum_.step_ns) * 1e-6 / static_cast<double>(turns_.size());
}

}  // namespace pie::engine
