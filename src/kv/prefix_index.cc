#include "kv/prefix_index.h"

#include <algorithm>

#include "base/check.h"

namespace pie::kv {
namespace {

/// The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
constexpr uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

}  // namespace

uint64_t PrefixIndex::hash_of(PrefixId parent, std::span<const uint32_t> text) const {
  uint64_t hash = mix(salt_ ^ parent.value);
  for (const uint32_t word : text) hash = mix(hash + salt_ + word);
  return hash;
}

PrefixId PrefixIndex::make(PrefixId parent, uint32_t domain) {
  PrefixId id{static_cast<uint32_t>(nodes_.size())};
  if (free_.empty()) {
    nodes_.emplace_back();
  } else {
    id = free_.back();
    free_.pop_back();
  }
  Node& node = nodes_[id.value];
  node.parent = parent;
  node.domain = domain;
  return id;
}

PrefixId PrefixIndex::root(uint32_t domain) {
  PIE_CHECK(domain != 0);
  if (const PrefixId known = find_root(domain); known != kNoPrefix) return known;
  if (roots_.size() >= roots_max_) forget_empty_roots();
  const PrefixId root = make(kNoPrefix, domain);
  nodes_[root.value].references = 1;  // its own
  roots_[domain] = root;
  return root;
}

void PrefixIndex::forget_empty_roots() {
  std::erase_if(roots_, [this](const auto& entry) {
    Node& node = nodes_[entry.second.value];
    if (node.children > 0 || node.references > 1) return false;
    node = Node{};
    free_.push_back(entry.second);
    return true;
  });
  roots_max_ = std::max(kRootsMin, 2 * roots_.size());
}

PrefixId PrefixIndex::find_root(uint32_t domain) const {
  const auto root = roots_.find(domain);
  return root == roots_.end() ? kNoPrefix : root->second;
}

std::optional<PrefixId> PrefixIndex::find(PrefixId parent, std::span<const uint32_t> text) const {
  const auto [first, last] = by_hash_.equal_range(hash_of(parent, text));
  for (auto at = first; at != last; ++at) {
    const Node& node = nodes_[at->second.value];
    if (node.parent == parent && std::ranges::equal(node.text, text)) return at->second;
  }
  return std::nullopt;
}

PrefixId PrefixIndex::insert(PrefixId parent, std::span<const uint32_t> text) {
  PIE_CHECK(parent != kNoPrefix);
  std::optional<PrefixId> id = find(parent, text);
  if (!id) {
    id = make(parent, nodes_[parent.value].domain);
    Node& node = nodes_[id->value];
    node.text.assign(text.begin(), text.end());
    node.hash = hash_of(parent, text);
    node.depth = nodes_[parent.value].depth + 1;
    ++nodes_[parent.value].children;
    by_hash_.emplace(node.hash, *id);
  }
  ++nodes_[id->value].references;
  return *id;
}

void PrefixIndex::ref(PrefixId prefix) { ++nodes_[prefix.value].references; }

void PrefixIndex::unref(PrefixId prefix) {
  PIE_CHECK(nodes_[prefix.value].references > 0);
  --nodes_[prefix.value].references;
  forget_unused(prefix);
}

void PrefixIndex::forget_unused(PrefixId prefix) {
  while (prefix != kNoPrefix) {
    Node& node = nodes_[prefix.value];
    if (node.references > 0 || node.children > 0) return;
    PIE_CHECK(!node.frame && node.claim.who == 0);
    const PrefixId parent = node.parent;
    PIE_CHECK(parent != kNoPrefix);
    const auto [first, last] = by_hash_.equal_range(node.hash);
    by_hash_.erase(
        std::find_if(first, last, [&](const auto& entry) { return entry.second == prefix; }));
    --nodes_[parent.value].children;
    node = Node{};
    free_.push_back(prefix);
    prefix = parent;
  }
}

void PrefixIndex::check_invariants() const {
  std::vector<uint32_t> children(nodes_.size(), 0);
  size_t used = 0;
  for (uint32_t id = 1; id < nodes_.size(); ++id) {
    const Node& node = nodes_[id];
    if (node.domain == 0) continue;
    ++used;
    if (node.parent != kNoPrefix) ++children[node.parent.value];
    if (node.frame || node.claim.who != 0) PIE_CHECK(node.references > 0);
  }
  PIE_CHECK(used == size());
  for (uint32_t id = 1; id < nodes_.size(); ++id) {
    PIE_CHECK(nodes_[id].children == children[id]);
    PIE_CHECK(nodes_[id].domain == 0 || nodes_[id].references + children[id] > 0);
  }
  PIE_CHECK(by_hash_.size() + roots_.size() == used);
}

}  // namespace pie::kv
