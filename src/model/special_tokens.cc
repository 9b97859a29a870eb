#include "model/special_tokens.h"

#include <algorithm>
#include <set>

namespace pie::model {
namespace {

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

size_t space_begin(std::string_view text, size_t end, size_t least) {
  while (end > least && is_space(text[end - 1])) --end;
  return end;
}

size_t space_end(std::string_view text, size_t begin, size_t most) {
  while (begin < most && is_space(text[begin])) ++begin;
  return begin;
}

uint64_t edge(uint32_t node, char byte) { return uint64_t{node} << 8 | static_cast<uint8_t>(byte); }

}  // namespace

/// Occurrences that overlap, white space that they eat included: what is taken of them depends on
/// no others.
struct SpecialTokens::Cluster {
  size_t begin = 0, end = 0;
  size_t count = 0;           ///< of occurrences
  std::set<uint32_t> tokens;  ///< which occur, in the order in which they are looked for
};

SpecialTokens::SpecialTokens(std::vector<SpecialToken> tokens) : tokens_(std::move(tokens)) {
  roots_.fill(kNothing);
  token_at_.push_back(kNothing);
  for (uint32_t index = 0; index < tokens_.size(); ++index) {
    uint32_t node = 0;
    for (const char byte : tokens_[index].text) {
      uint32_t& child = node == 0 ? roots_[static_cast<uint8_t>(byte)]
                                  : children_.try_emplace(edge(node, byte), kNothing).first->second;
      if (child == kNothing) {
        child = static_cast<uint32_t>(token_at_.size());
        token_at_.push_back(kNothing);
      }
      node = child;
    }
    if (token_at_[node] == kNothing) token_at_[node] = index;
  }
}

std::vector<SpecialTokens::Found> SpecialTokens::find(std::string_view text) const {
  std::vector<Found> found;
  Cluster cluster;
  for (size_t at = 0; at < text.size(); ++at) {
    if (roots_[static_cast<uint8_t>(text[at])] != kNothing) match_at(text, at, cluster, found);
  }
  resolve(text, cluster, found);
  return found;
}

void SpecialTokens::match_at(std::string_view text, size_t at, Cluster& cluster,
                             std::vector<Found>& found) const {
  uint32_t node = roots_[static_cast<uint8_t>(text[at])];
  for (size_t next = at + 1;; ++next) {
    if (const uint32_t index = token_at_[node]; index != kNothing) {
      const SpecialToken& token = tokens_[index];
      const size_t begin = token.eats_left ? space_begin(text, at, 0) : at;
      const size_t end = token.eats_right ? space_end(text, next, text.size()) : next;
      if (cluster.count == 0 || begin >= cluster.end) {
        resolve(text, cluster, found);
        cluster.begin = begin;
        cluster.end = end;
      }
      cluster.begin = std::min(cluster.begin, begin);
      cluster.end = std::max(cluster.end, end);
      ++cluster.count;
      cluster.tokens.insert(index);
    }
    if (next == text.size()) return;
    const auto child = children_.find(edge(node, text[next]));
    if (child == children_.end()) return;
    node = child->second;
  }
}

void SpecialTokens::resolve(std::string_view text, Cluster& cluster,
                            std::vector<Found>& found) const {
  if (cluster.count == 0) return;
  if (cluster.count == 1) {
    found.push_back({cluster.begin, cluster.end, tokens_[*cluster.tokens.begin()].id});
    cluster = {};
    return;
  }
  struct Gap {
    size_t begin, end;
  };
  std::vector<Gap> gaps = {{cluster.begin, cluster.end}};
  const auto first = static_cast<ptrdiff_t>(found.size());
  for (const uint32_t index : cluster.tokens) {
    const SpecialToken& token = tokens_[index];
    std::vector<Gap> left;
    for (Gap gap : gaps) {
      while (gap.begin < gap.end) {
        const std::string_view here = text.substr(0, gap.end);
        const size_t at = here.find(token.text, gap.begin);
        if (at == std::string_view::npos) break;
        const size_t begin = token.eats_left ? space_begin(text, at, gap.begin) : at;
        const size_t after = at + token.text.size();
        const size_t end = token.eats_right ? space_end(text, after, gap.end) : after;
        if (begin > gap.begin) left.push_back({gap.begin, begin});
        found.push_back({begin, end, token.id});
        gap.begin = end;
      }
      if (gap.begin < gap.end) left.push_back(gap);
    }
    gaps = std::move(left);
  }
  std::sort(found.begin() + first, found.end(),
            [](const Found& a, const Found& b) { return a.begin < b.begin; });
  cluster = {};
}

}  // namespace pie::model
