#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "model/char_set.h"

namespace pie::model {

/// A regular expression of a pre-tokenizer, matched in time linear in the text and without
/// recursion over it. It knows what those expressions use: alternatives, groups, classes, \s \S \d
/// \p{L} \p{N} \p{P} \p{S} \p{M}, the quantifiers ? * + {m,n}, one character of lookahead, and $.
/// Immutable, thread-safe.
class SplitExpression {
 public:
  /// Throws std::invalid_argument for an expression that is not of that kind (a mistake of ours:
  /// the expressions are in split_regex.cc).
  explicit SplitExpression(std::string_view pattern);

  struct Match {
    size_t begin, end;
  };
  /// What a search needs; may be used again and again, by one search at a time.
  struct Scratch {
    struct Thread {
      uint32_t pc;
      size_t start;
    };
    std::vector<Thread> now, next;
    std::vector<size_t> seen;  ///< per instruction: the round that last added it, plus 1
    std::vector<uint32_t> stack;
  };

  /// The leftmost match within text[begin, end), alternatives in order. Text outside is not seen.
  template <class Char>
  std::optional<Match> search(const Char* text, size_t begin, size_t end, Scratch& scratch) const;

  /// Whether it speaks of categories: then it reads the text in which category_letter() stands for
  /// characters beyond ASCII; else it reads characters, with white space beyond ASCII as \v.
  bool uses_categories() const { return uses_categories_; }
  /// The letter that stands for a character in expressions with categories.
  static uint8_t category_letter(uint32_t character);
  static bool is_white_space(uint32_t character);

 private:
  friend class SplitParser;
  enum class Op : uint8_t { kChar, kSplit, kJump, kLookahead, kLookaheadNot, kEnd, kMatch };
  struct Instruction {
    Op op;
    int32_t first = 0, second = 0;  ///< relative targets; `first` is preferred
    uint32_t set = 0;
  };
  template <class Char>
  void add(std::vector<Scratch::Thread>& list, Scratch& scratch, uint32_t pc, size_t start,
           size_t round, const Char* text, size_t at, size_t end) const;

  std::vector<Instruction> program_;
  std::vector<CharSet> sets_;
  bool uses_categories_ = false;
};

}  // namespace pie::model
