#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/check.h"

namespace pie::model {
namespace {

/// The pair, as a real number, that turns `turns` times over the original context.
double pair_of(const Rope& rope, double turns) {
  const double span = rope.original_context / (turns * 2.0 * std::numbers::pi);
  return rope.dims * std::log(span) / (2.0 * std::log(static_cast<double>(rope.base)));
}

}  // namespace

RopeTable rope_table(const Rope& rope, std::span<const float> factors) {
  PIE_CHECK(factors.empty() || factors.size() >= rope.dims / 2);
  RopeTable table{.frequencies = {}, .magnitude = rope.attention_factor};
  if (rope.kind == RopeKind::kNone) return table;
  const bool is_yarn = rope.scaling == RopeScaling::kYarn;
  // Pairs up to `first` keep their frequency, those from `last` on are slowed; a ramp between.
  double first = 0.0;
  double last = 0.0;
  if (is_yarn) {
    first = std::max(0.0, std::floor(pair_of(rope, rope.beta_fast)));
    last = std::min(rope.dims - 1.0, std::ceil(pair_of(rope, rope.beta_slow)));
    table.magnitude *= 1.0 + 0.1 * std::log(static_cast<double>(rope.factor));
  }
  for (uint32_t i = 0; i < rope.dims / 2; ++i) {
    double frequency = std::pow(static_cast<double>(rope.base), -2.0 * i / rope.dims);
    if (!factors.empty()) frequency /= factors[i];
    double slowed = 1.0;
    if (is_yarn) slowed = std::clamp((i - first) / std::max(0.001, last - first), 0.0, 1.0);
    table.frequencies.push_back(frequency * (1.0 - slowed) + frequency / rope.factor * slowed);
  }
  return table;
}

}  // namespace pie::model
