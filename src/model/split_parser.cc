// How the pattern of a SplitExpression becomes its program.
#include <limits>
#include <stdexcept>
#include <utility>

#include "model/code_points.h"
#include "model/split_category.h"
#include "model/split_expression.h"

namespace pie::model {
namespace {

CharSet category_set(char name) {
  for (const Category& category : kCategories) {
    if (category.name != name) continue;
    CharSet set;
    for (const auto& [first, last] : category.ascii)
      if (first != 0) set.add(first, last);
    if (name == 'P') {
      set.add('{');
      set.add('}');
    }
    set.add(category.letter);
    return set;
  }
  throw std::invalid_argument("[split expression] got an unknown category");
}

CharSet white_space() {
  CharSet set;
  set.add('\t', '\r');
  set.add(' ');
  return set;
}

}  // namespace

/// Recursive descent over the pattern; each part is a piece of program with relative jumps.
class SplitParser {
 public:
  SplitParser(SplitExpression& out, std::string_view pattern)
      : out_(out), pattern_(code_points(pattern)) {}

  void parse() {
    out_.program_ = alternatives();
    if (at_ != pattern_.size()) fail();
    out_.program_.push_back({Op::kMatch});
  }

 private:
  using Op = SplitExpression::Op;
  using Program = std::vector<SplitExpression::Instruction>;

  [[noreturn]] static void fail() {
    throw std::invalid_argument("[split expression] got what it does not know");
  }
  bool ends() const { return at_ == pattern_.size(); }
  uint32_t peek() const { return ends() ? 0 : pattern_[at_]; }
  uint32_t take() {
    if (ends()) fail();
    return pattern_[at_++];
  }
  bool take_if(std::string_view text) {
    if (pattern_.size() - at_ < text.size()) return false;
    for (size_t i = 0; i < text.size(); ++i)
      if (pattern_[at_ + i] != static_cast<uint8_t>(text[i])) return false;
    at_ += text.size();
    return true;
  }

  static int32_t size(const Program& part) { return static_cast<int32_t>(part.size()); }
  static void append(Program& to, const Program& part) {
    to.insert(to.end(), part.begin(), part.end());
  }

  Program alternatives() {
    Program first = sequence();
    if (!take_if("|")) return first;
    const Program rest = alternatives();
    Program out = {{Op::kSplit, 1, size(first) + 2}};
    append(out, first);
    out.push_back({Op::kJump, size(rest) + 1});
    append(out, rest);
    return out;
  }

  Program sequence() {
    Program out;
    while (!ends() && peek() != '|' && peek() != ')') append(out, quantified());
    return out;
  }

  static Program optional(const Program& part) {
    Program out = {{Op::kSplit, 1, size(part) + 1}};
    append(out, part);
    return out;
  }

  Program quantified() {
    Program part = atom();
    if (take_if("?")) return optional(part);
    Program out;
    if (take_if("*")) {
      out = {{Op::kSplit, 1, size(part) + 2}};
      append(out, part);
      out.push_back({Op::kJump, -size(part) - 1});
      return out;
    }
    if (take_if("+")) {
      out = part;
      out.push_back({Op::kSplit, -size(part), 1});
      return out;
    }
    if (!take_if("{")) return part;
    const uint32_t least = number();
    const uint32_t most = take_if(",") ? number() : least;
    if (!take_if("}")) fail();
    for (uint32_t i = 0; i < most; ++i) append(out, i < least ? part : optional(part));
    return out;
  }

  uint32_t number() {
    uint32_t value = 0;
    while (peek() >= '0' && peek() <= '9') value = value * 10 + (take() - '0');
    return value;
  }

  Program atom() {
    if (take_if("$")) return {{Op::kEnd}};
    const bool looks = take_if("(?=");
    const bool looks_not = !looks && take_if("(?!");
    if (looks || looks_not) {
      const uint32_t set = add_set(set_or_character());
      if (!take_if(")")) fail();
      return {{looks ? Op::kLookahead : Op::kLookaheadNot, 0, 0, set}};
    }
    if (take_if("(?:") || take_if("(")) {
      Program out = alternatives();
      if (!take_if(")")) fail();
      return out;
    }
    return {{Op::kChar, 0, 0, add_set(set_or_character())}};
  }

  uint32_t add_set(CharSet set) {
    out_.sets_.push_back(std::move(set));
    return static_cast<uint32_t>(out_.sets_.size() - 1);
  }

  CharSet set_or_character() {
    if (take_if("[")) return bracketed();
    CharSet set;
    if (peek() == '\\') {
      set.add(escaped().first);
    } else {
      set.add(take());
    }
    return set;
  }

  CharSet bracketed() {
    const bool inverted = take_if("^");
    CharSet set;
    while (!take_if("]")) {
      uint32_t first = kNone;
      if (peek() == '\\') {
        auto [class_set, character] = escaped();
        set.add(class_set);
        first = character;
      } else {
        first = take();
      }
      uint32_t last = first;
      if (first != kNone && peek() == '-' && at_ + 1 < pattern_.size() &&
          pattern_[at_ + 1] != ']') {
        take();
        last = peek() == '\\' ? escaped().second : take();
      }
      if (first != kNone) set.add(first, last);
    }
    if (inverted) set.invert();
    return set;
  }

  /// What follows a backslash: a class, or one character (then `second` says which).
  std::pair<CharSet, uint32_t> escaped() {
    take();
    const uint32_t what = take();
    CharSet set;
    switch (what) {
      case 's': return {white_space(), kNone};
      case 'S':
        set = white_space();
        set.invert();
        return {set, kNone};
      case 'd': set.add('0', '9'); return {set, kNone};
      case 'p': {
        if (!take_if("{")) fail();
        const auto name = static_cast<char>(take());
        while (!take_if("}")) take();
        out_.uses_categories_ = true;
        return {category_set(name), kNone};
      }
      default: break;
    }
    const uint32_t character = what == 'r' ? '\r' : what == 'n' ? '\n' : what == 't' ? '\t' : what;
    set.add(character);
    return {set, character};
  }

  static constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();

  SplitExpression& out_;
  std::vector<uint32_t> pattern_;
  size_t at_ = 0;
};

SplitExpression::SplitExpression(std::string_view pattern) { SplitParser(*this, pattern).parse(); }

}  // namespace pie::model
