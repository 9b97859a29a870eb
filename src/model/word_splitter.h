#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "model/split_expression.h"

namespace pie::model {

/// Cuts a text into the words within which a byte-pair tokenizer merges, one after the other.
class WordSplitter {
 public:
  /// `steps` outlive it: each cuts the pieces of those before it, into what it matches and what is
  /// between.
  explicit WordSplitter(const std::vector<SplitExpression>& steps);

  /// Begins with a well-formed text.
  void begin(std::string_view text);
  struct Word {
    size_t begin, end;  ///< bytes of the text
  };
  /// The next one; nothing at the end.
  std::optional<Word> next();

 private:
  struct Range {
    size_t begin, end;  ///< characters
  };
  struct Level {
    Range rest{0, 0};            ///< of the piece that it cuts
    std::optional<Range> match;  ///< found behind what was given out last
  };
  std::optional<Range> next_of(size_t level);
  std::optional<Range> search(size_t level, Range in);

  const std::vector<SplitExpression>& steps_;
  std::vector<Level> levels_;
  std::vector<uint32_t> offsets_;     ///< where each character begins, and the end
  std::vector<uint8_t> letters_;      ///< for expressions with categories
  std::vector<uint32_t> characters_;  ///< for the others, where there are any
  bool needs_characters_ = false;
  bool whole_given_ = true;
  SplitExpression::Scratch scratch_;
};

}  // namespace pie::model
