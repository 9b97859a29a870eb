#pragma once
#include <algorithm>
#include <bitset>
#include <cstdint>
#include <utility>
#include <vector>

namespace pie::model {

/// A set of characters, or of the letters that stand for classes of them. Cheap to ask.
class CharSet {
 public:
  void add(uint32_t first, uint32_t last) {
    for (uint32_t c = first; c <= last && c < low_.size(); ++c) low_.set(c);
    if (last >= low_.size()) high_.emplace_back(std::max<uint32_t>(first, low_.size()), last);
  }
  void add(uint32_t c) { add(c, c); }
  void add(const CharSet& other) {
    low_ |= other.low_;
    high_.insert(high_.end(), other.high_.begin(), other.high_.end());
  }
  void invert() {
    low_.flip();
    inverted_ = !inverted_;
  }
  bool contains(uint32_t c) const {
    if (c < low_.size()) return low_[c];
    for (const auto& [first, last] : high_)
      if (c >= first && c <= last) return !inverted_;
    return inverted_;
  }

 private:
  std::bitset<256> low_;
  std::vector<std::pair<uint32_t, uint32_t>> high_;  ///< ranges from 256 on
  bool inverted_ = false;                            ///< of high_ alone: low_ is as it is
};

}  // namespace pie::model
