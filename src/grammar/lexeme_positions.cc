#include "grammar/lexeme_positions.h"

#include <algorithm>
#include <map>
#include <utility>

namespace pie::grammar {
namespace {

using Kind = GbnfNode::Kind;
using Positions = std::vector<uint32_t>;  // ascending

constexpr size_t kPositionsMax = 4'000, kEdgesMax = 200'000, kStatesMax = 4'000;
/// A part is copied so often; beyond, it counts as repeated without end, which forbids more.
constexpr uint32_t kCopiesMax = 8;

/// A place in a terminal where a character is read.
struct Position {
  ClassSet chars;
  size_t lexeme;
  bool is_last = false;  ///< the terminal may end behind it
  Positions next;
};

struct Fragment {
  bool is_nullable = true;
  Positions first, last;
};

/// The terminals as one automaton over positions (Glushkov's construction).
class PositionGraph {
 public:
  PositionGraph(const GbnfGrammar& grammar, const CharClasses& classes)
      : grammar_(grammar), classes_(classes) {}

  /// False when there would be too many positions.
  bool add(const GbnfNode& lexeme, size_t number) {
    lexeme_ = number;
    const Fragment whole = build(lexeme);
    for (const uint32_t one : whole.last) all[one].is_last = true;
    start.insert(start.end(), whole.first.begin(), whole.first.end());
    return !is_full_;
  }
  std::vector<Position> all;
  Positions start;

 private:
  Fragment build(const GbnfNode& node) {
    Fragment whole;
    if (is_full_) return whole;
    switch (node.kind) {
      case Kind::kToken: return whole;  // in no terminal
      case Kind::kRule: return build(grammar_.rules[node.rule].body);
      case Kind::kChars: {
        const auto position = static_cast<uint32_t>(all.size());
        all.push_back({classes_.set_of(node.chars), lexeme_, false, {}});
        is_full_ = all.size() > kPositionsMax;
        return {false, {position}, {position}};
      }
      case Kind::kSequence:
        for (const GbnfNode& part : node.parts) whole = joined(std::move(whole), build(part));
        return whole;
      case Kind::kChoice:
        whole.is_nullable = false;
        for (const GbnfNode& part : node.parts) {
          const Fragment one = build(part);
          whole.is_nullable = whole.is_nullable || one.is_nullable;
          append(whole.first, one.first);
          append(whole.last, one.last);
        }
        return whole;
      case Kind::kRepeat: return repeated(node);
    }
    return whole;
  }
  Fragment repeated(const GbnfNode& node) {
    const GbnfNode& part = node.parts.front();
    Fragment whole;
    if (node.max <= kCopiesMax) {
      for (uint32_t i = 0; i < node.max; ++i) {
        Fragment one = build(part);
        one.is_nullable = one.is_nullable || i >= node.min;
        whole = joined(std::move(whole), one);
      }
      return whole;
    }
    whole = build(part);
    connect(whole.last, whole.first);
    whole.is_nullable = whole.is_nullable || node.min == 0;
    return whole;
  }
  Fragment joined(Fragment left, const Fragment& right) {
    connect(left.last, right.first);
    if (left.is_nullable) append(left.first, right.first);
    if (!right.is_nullable) left.last.clear();
    append(left.last, right.last);
    left.is_nullable = left.is_nullable && right.is_nullable;
    return left;
  }
  void connect(const Positions& from, const Positions& to) {
    edge_count_ += from.size() * to.size();
    is_full_ = is_full_ || edge_count_ > kEdgesMax;
    if (is_full_) return;
    for (const uint32_t one : from) append(all[one].next, to);
  }
  static void append(Positions& to, const Positions& more) {
    to.insert(to.end(), more.begin(), more.end());
    std::sort(to.begin(), to.end());
    to.erase(std::unique(to.begin(), to.end()), to.end());
  }

  const GbnfGrammar& grammar_;
  const CharClasses& classes_;
  size_t lexeme_ = 0, edge_count_ = 0;
  bool is_full_ = false;
};

/// The sets of positions that one text can lead to, all terminals read at once.
class Subsets {
 public:
  Subsets(const PositionGraph& graph, size_t class_count, const std::vector<ClassSet>& follow,
          WorkLimit& work)
      : graph_(graph), class_count_(class_count), follow_(follow), work_(work) {}

  /// Nothing: there are too many.
  Result<bool> explore(std::set<size_t>& conflicts) {
    PIE_TRY(advance(graph_.start));
    while (!todo_.empty()) {
      if (known_.size() > kStatesMax) return false;
      const Positions state = std::move(todo_.back());
      todo_.pop_back();
      Positions next;
      ClassSet after(class_count_);
      for (const uint32_t one : state) {
        const Position& position = graph_.all[one];
        next.insert(next.end(), position.next.begin(), position.next.end());
        if (position.is_last) after.add_all(follow_[position.lexeme]);
      }
      std::sort(next.begin(), next.end());
      next.erase(std::unique(next.begin(), next.end()), next.end());
      PIE_TRY(work_.take((state.size() + next.size()) * (4 + class_count_ / 32)));
      for (const uint32_t one : next)
        if (graph_.all[one].chars.meets(after)) conflicts.insert(graph_.all[one].lexeme);
      PIE_TRY(advance(next));
    }
    return true;
  }

 private:
  /// Adds what each class of characters leads to.
  Result<void> advance(const Positions& positions) {
    if (positions.empty()) return {};
    PIE_TRY(work_.take(positions.size() * class_count_));
    for (size_t c = 0; c < class_count_; ++c) {
      Positions to;
      for (const uint32_t one : positions)
        if (graph_.all[one].chars.has(c)) to.push_back(one);
      if (!to.empty() && known_.insert(to).second) todo_.push_back(std::move(to));
    }
    return {};
  }

  const PositionGraph& graph_;
  const size_t class_count_;
  const std::vector<ClassSet>& follow_;
  WorkLimit& work_;
  std::set<Positions> known_;
  std::vector<Positions> todo_;
};

}  // namespace

Result<std::set<size_t>> conflicts_of(const GbnfGrammar& grammar, const CharClasses& classes,
                                      const std::vector<GbnfNode*>& lexemes,
                                      const std::vector<ClassSet>& follow, WorkLimit& work) {
  std::set<size_t> conflicts;
  PositionGraph graph(grammar, classes);
  size_t largest = 0, largest_size = 0;
  for (size_t i = 0; i < lexemes.size(); ++i) {
    const size_t before = graph.all.size();
    if (!graph.add(*lexemes[i], i)) {
      conflicts.insert(graph.all.size() - before >= largest_size ? i : largest);
      return conflicts;
    }
    if (graph.all.size() - before <= largest_size) continue;
    largest = i;
    largest_size = graph.all.size() - before;
  }
  PIE_TRY_ASSIGN(const bool is_known,
                 Subsets(graph, classes.count(), follow, work).explore(conflicts));
  if (!is_known && largest_size > 1) conflicts.insert(largest);
  // Of one character there is nothing to split: it is read as it is.
  std::erase_if(conflicts, [&](size_t i) { return lexemes[i]->kind == Kind::kChars; });
  return conflicts;
}

}  // namespace pie::grammar
