#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/priority.h"
#include "base/strong_id.h"

namespace pie::kv {

/// What a pool page's content is kept under (see FrameTable).
using FrameId = StrongId<struct FrameIdTag, uint32_t>;
/// A page's content: its tokens and everything before them. 0 is none.
using PrefixId = StrongId<struct PrefixIdTag, uint32_t>;
inline constexpr PrefixId kNoPrefix{0};

/// Somebody who is computing a page that others want as well.
struct Claim {
  uint64_t who = 0;                    ///< 0: nobody
  Priority priority = Priority::kLow;  ///< of the one who computes
};

/// A tree of page contents. A child is its parent's content and one more page, spelled out in words
/// (token ids, positions, masks); found by hash and compared word by word, so that two contents are
/// never taken for each other. Each domain has a tree of its own. Thread: engine only.
class PrefixIndex {
 public:
  /// `salt` keeps programs from making contents that collide in the table.
  explicit PrefixIndex(uint64_t salt) : salt_(salt), nodes_(1) {}

  /// Nothing yet, of a domain (not 0); there until the next one of a new domain is asked for, and
  /// as long as it has children or somebody refers to it.
  PrefixId root(uint32_t domain);
  /// The same, when somebody asked for it before.
  PrefixId find_root(uint32_t domain) const;
  /// The child with this text; none when nobody knows it.
  std::optional<PrefixId> find(PrefixId parent, std::span<const uint32_t> text) const;
  /// Finds or makes the child. Referred to by the caller until unref().
  PrefixId insert(PrefixId parent, std::span<const uint32_t> text);
  void ref(PrefixId prefix);
  /// One reference less; what nobody refers to and has no children is forgotten.
  void unref(PrefixId prefix);

  PrefixId parent(PrefixId prefix) const { return nodes_[prefix.value].parent; }
  /// Pages from the start, this one included.
  uint32_t depth(PrefixId prefix) const { return nodes_[prefix.value].depth; }
  std::span<const uint32_t> text(PrefixId prefix) const { return nodes_[prefix.value].text; }
  /// The frame that has this content and may be shared.
  std::optional<FrameId> frame(PrefixId prefix) const { return nodes_[prefix.value].frame; }
  void set_frame(PrefixId prefix, std::optional<FrameId> frame) {
    nodes_[prefix.value].frame = frame;
  }
  const Claim& claim(PrefixId prefix) const { return nodes_[prefix.value].claim; }
  void set_claim(PrefixId prefix, Claim claim) { nodes_[prefix.value].claim = claim; }

  /// Contents that are known, roots included.
  size_t size() const { return nodes_.size() - 1 - free_.size(); }
  void check_invariants() const;

 private:
  struct Node {
    PrefixId parent = kNoPrefix;
    uint32_t domain = 0;
    uint32_t depth = 0;
    uint64_t hash = 0;
    uint32_t references = 0;  // of callers
    uint32_t children = 0;
    std::optional<FrameId> frame;
    Claim claim;
    std::vector<uint32_t> text;
  };
  uint64_t hash_of(PrefixId parent, std::span<const uint32_t> text) const;
  PrefixId make(PrefixId parent, uint32_t domain);
  void forget_unused(PrefixId prefix);
  void forget_empty_roots();

  static constexpr size_t kRootsMin = 64;

  const uint64_t salt_;
  std::vector<Node> nodes_;  // by id
  std::vector<PrefixId> free_;
  std::unordered_multimap<uint64_t, PrefixId> by_hash_;
  std::map<uint32_t, PrefixId> roots_;
  size_t roots_max_ = kRootsMin;  // then those that nothing hangs on go
};

}  // namespace pie::kv
