#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "model/model.h"
#include "model/tokenizer.h"

namespace pie::test {

/// How far two rows of logits are from each other.
struct Difference {
  float largest = 0.0F;
  double rms = 0.0;

  void take_worse(const Difference& other) {
    largest = std::max(largest, other.largest);
    rms = std::max(rms, other.rms);
  }
};

/// Fails the test where a number is not finite.
inline Difference difference(std::span<const float> a, std::span<const float> b) {
  Difference d;
  EXPECT_EQ(a.size(), b.size());
  double squares = 0.0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const float delta = std::abs(a[i] - b[i]);
    EXPECT_TRUE(std::isfinite(delta));
    d.largest = std::max(d.largest, delta);
    squares += double{delta} * delta;
  }
  d.rms = std::sqrt(squares / static_cast<double>(std::max<size_t>(a.size(), 1)));
  return d;
}

/// The largest magnitude of a row.
inline float magnitude(std::span<const float> values) {
  float largest = 0.0F;
  for (const float value : values) largest = std::max(largest, std::abs(value));
  return largest;
}

inline std::vector<int32_t> ids_of(const model::Model& model, const std::string& text) {
  const std::vector<TokenId> ids = model.tokenizer().tokenize(text);
  return {ids.begin(), ids.end()};
}

}  // namespace pie::test
