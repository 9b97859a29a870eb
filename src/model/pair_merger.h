#pragma once
#include <cstdint>
#include <optional>
#include <queue>
#include <vector>

namespace pie::model {

/// A part of a text: at first one character or byte, later what was merged.
struct Symbol {
  int32_t previous, next;  ///< -1: none
  uint32_t begin, size;    ///< bytes; size 0: it was merged into the one before it
  int32_t atom;            ///< what it is to the rules; -1: nothing that they know
};

/// What two neighbours become, and when: lower orders first.
struct Merge {
  int64_t order;
  int32_t atom;
};

/// Merges neighbours, the best pair of all first and the leftmost of equal ones, until the rules
/// know no more: n log n in the symbols, without recursion, in as many steps as its user likes.
/// `Rules::merge(const Symbol&, const Symbol&) -> std::optional<Merge>`.
template <class Rules>
class PairMerger {
 public:
  explicit PairMerger(const Rules& rules) : rules_(rules) {}

  void clear() {
    symbols_.clear();
    queue_ = {};
    seeded_ = 1;
  }
  void add(uint32_t begin, uint32_t size, int32_t atom) {
    const auto index = static_cast<int32_t>(symbols_.size());
    if (index > 0) symbols_.back().next = index;
    symbols_.push_back({index - 1, -1, begin, size, atom});
  }
  /// Takes what it does from `work`, a unit for each pair it looks at. Whether it is done.
  bool advance(size_t& work) {
    for (; seeded_ < symbols_.size(); ++seeded_) {
      if (work == 0) return false;
      --work;
      offer(static_cast<int32_t>(seeded_) - 1, static_cast<int32_t>(seeded_));
    }
    while (!queue_.empty()) {
      if (work == 0) return false;
      --work;
      const Pair pair = queue_.top();
      queue_.pop();
      apply(pair);
    }
    return true;
  }
  /// In the order of the text, those of size 0 included.
  const std::vector<Symbol>& symbols() const { return symbols_; }

 private:
  struct Pair {
    int64_t order;
    int32_t left, right;
    uint32_t size;
    int32_t atom;
    bool operator<(const Pair& other) const {  // the queue gives the greatest first
      return order > other.order || (order == other.order && left > other.left);
    }
  };

  void offer(int32_t left, int32_t right) {
    if (left < 0 || right < 0) return;
    const Symbol& a = symbols_[static_cast<size_t>(left)];
    const Symbol& b = symbols_[static_cast<size_t>(right)];
    if (const std::optional<Merge> merge = rules_.merge(a, b))
      queue_.push({merge->order, left, right, a.size + b.size, merge->atom});
  }

  void apply(const Pair& pair) {
    Symbol& left = symbols_[static_cast<size_t>(pair.left)];
    Symbol& right = symbols_[static_cast<size_t>(pair.right)];
    // One of them was merged with another meanwhile.
    if (left.size == 0 || right.size == 0 || left.size + right.size != pair.size) return;
    left.size += right.size;
    left.atom = pair.atom;
    right.size = 0;
    left.next = right.next;
    if (right.next >= 0) symbols_[static_cast<size_t>(right.next)].previous = pair.left;
    offer(left.previous, pair.left);
    offer(pair.left, left.next);
  }

  const Rules& rules_;
  std::vector<Symbol> symbols_;
  std::priority_queue<Pair> queue_;
  size_t seeded_ = 1;  ///< symbols from here on were not yet looked at with those before them
};

}  // namespace pie::model
