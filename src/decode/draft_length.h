#pragma once
#include <algorithm>
#include <cstdint>

namespace pie::decode {

/// How many tokens are worth a try: more while they are right, none for a while when they are not.
class DraftLength {
 public:
  explicit DraftLength(uint32_t most) : most_(most), length_(std::min(kStart, most)) {}

  /// For the next pass. `others`: tokens that other passes had in the last step; beside many, a
  /// wrong token costs as much as a right one.
  uint32_t next(uint32_t others) {
    if (pause_ > 0) {
      --pause_;
      return 0;
    }
    return std::min(length_, std::max(1U, most_ * kFreeTokens / (kFreeTokens + others)));
  }
  /// `drafted` is not 0.
  void tried(uint32_t drafted, uint32_t accepted) {
    if (accepted == drafted) {
      misses_ = 0;
      length_ = std::min(most_, std::max(length_, drafted) * 2);
    } else if (accepted > 0) {
      misses_ = 0;
      length_ = std::min(most_, accepted + 1);
    } else {
      length_ = std::max(1U, length_ / 2);
      pause_ = (1U << std::min(++misses_, kPauseBitsMax)) - 1;
    }
  }

 private:
  static constexpr uint32_t kStart = 6;
  /// Tokens beside which one more costs a step little.
  static constexpr uint32_t kFreeTokens = 8;
  static constexpr uint32_t kPauseBitsMax = 6;

  const uint32_t most_;
  uint32_t length_;
  uint32_t misses_ = 0;  ///< tries in a row of which nothing was right
  uint32_t pause_ = 0;
};

}  // namespace pie::decode
