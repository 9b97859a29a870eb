#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/strong_id.h"

namespace pie::model {

/// A token that is written in text as its own name.
struct SpecialToken {
  TokenId id;
  std::string text;         ///< not empty
  bool eats_left = false;   ///< white space before it goes with it
  bool eats_right = false;  ///< and after it
};

/// Finds them in a text in time linear in it. Immutable, thread-safe.
class SpecialTokens {
 public:
  /// In the order in which they are looked for: where two overlap, the earlier in this list is
  /// taken, and of the same token the leftmost.
  explicit SpecialTokens(std::vector<SpecialToken> tokens);

  /// One of them in a text; [begin, end) has the white space that goes with it.
  struct Found {
    size_t begin, end;
    TokenId id;
  };
  /// In the order of the text.
  std::vector<Found> find(std::string_view text) const;

 private:
  struct Cluster;
  void match_at(std::string_view text, size_t at, Cluster& cluster,
                std::vector<Found>& found) const;
  void resolve(std::string_view text, Cluster& cluster, std::vector<Found>& found) const;

  static constexpr uint32_t kNothing = UINT32_MAX;
  std::vector<SpecialToken> tokens_;
  // A tree over the bytes of the texts; node 0 is the root.
  std::array<uint32_t, 256> roots_{};  ///< children of the root
  std::unordered_map<uint64_t, uint32_t> children_;
  std::vector<uint32_t> token_at_;  ///< per node: index in tokens_ that ends there
};

}  // namespace pie::model
