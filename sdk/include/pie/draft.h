#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "pie/task.h"

namespace inferlet {

/// A guess of the tokens that come next: a chain, or a tree whose branches are alternatives.
struct Draft {
  std::vector<uint32_t> tokens;
  /// Of each token of a tree the one before it, by its index; -1 for the first tokens. A token
  /// comes after its parent, and what is most likely comes first: the branch 0, 1, 2, ... need not
  /// be computed again. Empty: a chain.
  std::vector<int32_t> parents;

  bool is_tree() const { return !parents.empty(); }
  int32_t parent(size_t i) const { return is_tree() ? parents[i] : static_cast<int32_t>(i) - 1; }
  /// The child of `node` (-1: of the beginning) with that token; -1 when there is none.
  int32_t child(int32_t node, uint32_t token) const;
};

/// Makes drafts for Context::generate. What it guesses changes how fast an answer comes, and not
/// the answer.
class Drafter {
 public:
  virtual ~Drafter() = default;
  /// A draft of what follows `tokens`, which stay until the task ends. An empty one: no guess.
  virtual Task<Draft> draft(std::span<const uint32_t> tokens) = 0;
  /// How much of the last draft was right.
  virtual void learn(size_t /*proposed*/, size_t /*accepted*/) {}
  /// What was drawn at the last step, behind wrong guesses too: the token that comes next, then one
  /// behind each token of the draft. None where the program chooses.
  virtual void see(std::span<const uint32_t> /*drawn*/) {}
};

/// Guesses that what followed the same last tokens before will follow again: for answers that quote
/// or change what the context holds.
class PromptLookup : public Drafter {
 public:
  /// At most `draft_max` tokens, after the last `match` ones.
  explicit PromptLookup(size_t draft_max = 8, size_t match = 3)
      : draft_max_(draft_max), length_(draft_max), match_(match) {}
  Task<Draft> draft(std::span<const uint32_t> tokens) override;
  /// Longer drafts while they are right, shorter ones when they are not.
  void learn(size_t proposed, size_t accepted) override;

 private:
  size_t draft_max_, length_, match_;
};

}  // namespace inferlet
