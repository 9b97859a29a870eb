#include "model/split_expression.h"

#include <unicode.h>

#include <utility>

#include "model/split_category.h"

namespace pie::model {
namespace {

constexpr uint8_t kOtherLetter = 0xD0;
constexpr uint32_t kVerticalTab = 0x0B;

}  // namespace

uint8_t SplitExpression::category_letter(uint32_t character) {
  if (character < 128) return static_cast<uint8_t>(character);
  const unicode_cpt_flags flags = unicode_cpt_flags_from_cpt(character);
  if (flags.is_whitespace) return kVerticalTab;
  for (const Category& category : kCategories)
    if (flags.category_flag() == category.flag) return category.letter;
  return kOtherLetter;
}

bool SplitExpression::is_white_space(uint32_t character) {
  return unicode_cpt_flags_from_cpt(character).is_whitespace;
}

/// Adds the instruction and what is reached from it without a character, preferred ones first.
template <class Char>
void SplitExpression::add(std::vector<Scratch::Thread>& list, Scratch& scratch, uint32_t pc,
                          size_t start, size_t round, const Char* text, size_t at,
                          size_t end) const {
  scratch.stack.assign(1, pc);
  while (!scratch.stack.empty()) {
    pc = scratch.stack.back();
    scratch.stack.pop_back();
    if (scratch.seen[pc] == round) continue;
    scratch.seen[pc] = round;
    const Instruction& it = program_[pc];
    const auto target = [&](int32_t offset) {
      return static_cast<uint32_t>(static_cast<int32_t>(pc) + offset);
    };
    switch (it.op) {
      case Op::kJump: scratch.stack.push_back(target(it.first)); break;
      case Op::kSplit:
        scratch.stack.push_back(target(it.second));
        scratch.stack.push_back(target(it.first));
        break;
      case Op::kLookahead:
      case Op::kLookaheadNot: {
        const bool is_in = at < end && sets_[it.set].contains(text[at]);
        if (is_in == (it.op == Op::kLookahead)) scratch.stack.push_back(pc + 1);
        break;
      }
      case Op::kEnd:
        if (at == end) scratch.stack.push_back(pc + 1);
        break;
      case Op::kChar:
      case Op::kMatch: list.push_back({pc, start}); break;
    }
  }
}

template <class Char>
std::optional<SplitExpression::Match> SplitExpression::search(const Char* text, size_t begin,
                                                              size_t end, Scratch& scratch) const {
  std::optional<Match> found;
  scratch.seen.assign(program_.size(), 0);
  scratch.now.clear();
  size_t round = 1;  // each list has a number of its own: `now` is `round`, `next` is round + 1
  for (size_t at = begin;; ++at, ++round) {
    if (!found) add(scratch.now, scratch, 0, at, round, text, at, end);
    scratch.next.clear();
    for (const Scratch::Thread& thread : scratch.now) {
      const Instruction& it = program_[thread.pc];
      if (it.op == Op::kMatch) {
        found = Match{thread.start, at};
        break;  // what follows is less preferred
      }
      if (at < end && sets_[it.set].contains(text[at]))
        add(scratch.next, scratch, thread.pc + 1, thread.start, round + 1, text, at + 1, end);
    }
    std::swap(scratch.now, scratch.next);
    if (at >= end || (found && scratch.now.empty())) return found;
  }
}

template std::optional<SplitExpression::Match> SplitExpression::search(const uint8_t*, size_t,
                                                                       size_t, Scratch&) const;
template std::optional<SplitExpression::Match> SplitExpression::search(const uint32_t*, size_t,
                                                                       size_t, Scratch&) const;

}  // namespace pie::model
