#include "model/word_splitter.h"

#include <algorithm>
#include <utility>

#include "model/code_points.h"

namespace pie::model {

WordSplitter::WordSplitter(const std::vector<SplitExpression>& steps)
    : steps_(steps),
      levels_(steps.size()),
      needs_characters_(std::ranges::any_of(
          steps, [](const SplitExpression& step) { return !step.uses_categories(); })) {}

void WordSplitter::begin(std::string_view text) {
  offsets_.clear();
  letters_.clear();
  characters_.clear();
  for (size_t at = 0; at < text.size(); at += character_size(text[at])) {
    const uint32_t character = code_point(text, at);
    offsets_.push_back(static_cast<uint32_t>(at));
    letters_.push_back(SplitExpression::category_letter(character));
    if (!needs_characters_) continue;
    const bool is_space = character > 127 && SplitExpression::is_white_space(character);
    characters_.push_back(is_space ? U'\v' : character);
  }
  offsets_.push_back(static_cast<uint32_t>(text.size()));
  levels_.assign(steps_.size(), Level());
  whole_given_ = false;
}

std::optional<WordSplitter::Word> WordSplitter::next() {
  const std::optional<Range> piece = next_of(steps_.size());
  if (!piece) return std::nullopt;
  return Word{offsets_[piece->begin], offsets_[piece->end]};
}

/// The next piece that the first `level` steps leave.
std::optional<WordSplitter::Range> WordSplitter::next_of(size_t level) {
  if (level == 0) {
    if (std::exchange(whole_given_, true) || letters_.empty()) return std::nullopt;
    return Range{0, letters_.size()};
  }
  Level& here = levels_[level - 1];
  if (here.match) {
    const Range piece = *std::exchange(here.match, std::nullopt);
    here.rest.begin = piece.end;
    return piece;
  }
  if (here.rest.begin == here.rest.end) {
    const std::optional<Range> piece = next_of(level - 1);
    if (!piece) return std::nullopt;
    here.rest = *piece;
  }
  const std::optional<Range> match = search(level - 1, here.rest);
  if (!match) return Range{std::exchange(here.rest.begin, here.rest.end), here.rest.end};
  if (match->begin == here.rest.begin) {
    here.rest.begin = match->end;
    return match;
  }
  here.match = match;
  return Range{here.rest.begin, match->begin};
}

std::optional<WordSplitter::Range> WordSplitter::search(size_t level, Range in) {
  const SplitExpression& step = steps_[level];
  const auto match = step.uses_categories()
                         ? step.search(letters_.data(), in.begin, in.end, scratch_)
                         : step.search(characters_.data(), in.begin, in.end, scratch_);
  if (!match || match->begin == match->end) return std::nullopt;
  return Range{match->begin, match->end};
}

}  // namespace pie::model
