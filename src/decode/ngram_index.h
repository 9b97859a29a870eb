#pragma once
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/strong_id.h"

namespace pie::decode {

/// Where the end of a text has occurred before, and what followed there: prompt lookup (Saxena,
/// 2023). Time: constant for each token that is added; some microseconds a look-up. Not
/// thread-safe.
class NgramIndex {
 public:
  /// `match_min`: equal tokens that a look-up needs, at least 1.
  explicit NgramIndex(uint32_t match_min) : match_min_(match_min) {}

  /// A text to look in that the sequence does not go on from.
  void add_source(std::span<const TokenId> tokens);
  /// The sequence goes on.
  void append(TokenId token);

  /// Up to `count` tokens that followed the longest earlier match of the sequence's end; of equal
  /// ones the latest.
  std::vector<TokenId> look_up(size_t count) const;

  /// What it takes for each token, about.
  static constexpr uint64_t kBytesPerToken = 64;

 private:
  uint64_t key_at(size_t end) const;
  size_t match_length(size_t end) const;
  void index_last();

  const uint32_t match_min_;
  std::vector<TokenId> tokens_;     ///< sources, each followed by kGap, then the sequence
  std::vector<uint32_t> previous_;  ///< by end: the end before with the same key; 0: none
  std::unordered_map<uint64_t, uint32_t> last_;  ///< by key: the last end
  size_t run_ = 0;                               ///< tokens since the last gap
};

}  // namespace pie::decode
