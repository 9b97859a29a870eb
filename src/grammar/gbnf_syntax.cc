#include "grammar/gbnf_syntax.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "base/utf8.h"

namespace pie::grammar {
namespace {

using Kind = GbnfNode::Kind;

constexpr size_t kNodesMax = 100'000;
constexpr uint32_t kRepeatMax = 1'000'000;
constexpr uint32_t kLastCodePoint = 0x10FFFF, kFirstSurrogate = 0xD800, kLastSurrogate = 0xDFFF;

/// Ends the parse; caught by parse_gbnf.
struct SyntaxError {
  std::string message;
};

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

/// Ascending and apart from each other.
GbnfNode::Ranges tidy(GbnfNode::Ranges ranges) {
  std::sort(ranges.begin(), ranges.end());
  GbnfNode::Ranges all;
  for (const auto& [first, last] : ranges) {
    if (!all.empty() && first <= all.back().second + 1)
      all.back().second = std::max(all.back().second, last);
    else
      all.emplace_back(first, last);
  }
  return all;
}

/// Every other character.
GbnfNode::Ranges others(GbnfNode::Ranges ranges) {
  ranges.emplace_back(kFirstSurrogate, kLastSurrogate);
  GbnfNode::Ranges rest;
  uint32_t next = 0;
  for (const auto& [first, last] : tidy(std::move(ranges))) {
    if (first > next) rest.emplace_back(next, first - 1);
    next = last + 1;
  }
  if (next <= kLastCodePoint) rest.emplace_back(next, kLastCodePoint);
  return rest;
}

class GbnfParser {
 public:
  explicit GbnfParser(std::string_view text) : text_(text) {}

  GbnfGrammar parse() {
    skip_space(Lines::kCross);
    while (at_ < text_.size()) {
      rule();
      skip_space(Lines::kCross);
    }
    for (size_t i = 0; i < grammar_.rules.size(); ++i)
      if (!is_defined_[i])
        fail(fmt::format("got no rule '{}', expected one for each name that is used",
                         grammar_.rules[i].name));
    const auto root = index_.find("root");
    if (root == index_.end()) fail("got no rule 'root', expected one: it is the whole text");
    grammar_.root = root->second;
    return std::move(grammar_);
  }

 private:
  enum class Lines { kStay, kCross };

  [[noreturn]] void fail(const std::string& what) const {
    const auto line =
        1 + std::count(text_.begin(), text_.begin() + static_cast<ptrdiff_t>(at_), '\n');
    throw SyntaxError{fmt::format("line {}: {}", line, what)};
  }
  char peek(size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  void skip_space(Lines lines) {
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '#')
        while (at_ + 1 < text_.size() && text_[at_ + 1] != '\n') ++at_;
      else if (c != ' ' && c != '\t' && (lines == Lines::kStay || (c != '\n' && c != '\r')))
        return;
    }
  }
  std::string name() {
    const size_t begin = at_;
    while (is_name(peek())) ++at_;
    if (at_ == begin) fail("got no name, expected one of letters, digits and '-'");
    return std::string(text_.substr(begin, at_ - begin));
  }
  size_t rule_index(const std::string& of) {
    const auto [found, is_new] = index_.emplace(of, grammar_.rules.size());
    if (is_new) {
      grammar_.rules.push_back({of, {}});
      is_defined_.push_back(false);
    }
    return found->second;
  }
  GbnfNode node(Kind kind) {
    if (++node_count_ > kNodesMax)
      fail(fmt::format("got more than {} parts, expected a smaller grammar", kNodesMax));
    GbnfNode made;
    made.kind = kind;
    return made;
  }

  void rule() {
    const size_t index = rule_index(name());
    skip_space(Lines::kStay);
    if (text_.substr(at_, 3) != "::=") fail("got no '::=', expected it behind a rule's name");
    at_ += 3;
    skip_space(Lines::kCross);
    if (is_defined_[index]) fail(fmt::format("got rule '{}' twice", grammar_.rules[index].name));
    GbnfNode body = choice(Lines::kStay);
    grammar_.rules[index].body = std::move(body);
    is_defined_[index] = true;
    if (at_ < text_.size() && peek() != '\n' && peek() != '\r')
      fail(fmt::format("got '{}', expected the end of the line or a part of the rule", peek()));
  }

  GbnfNode choice(Lines lines) {
    GbnfNode all = node(Kind::kChoice);
    all.parts.push_back(sequence(lines));
    while (peek() == '|') {
      ++at_;
      skip_space(Lines::kCross);
      all.parts.push_back(sequence(lines));
    }
    if (all.parts.size() > 1) return all;
    GbnfNode one = std::move(all.parts.front());
    return one;
  }

  GbnfNode sequence(Lines lines) {
    GbnfNode all = node(Kind::kSequence);
    for (;;) {
      const size_t begin = all.parts.size();
      if (!part(all.parts)) return all;
      repeat(all.parts, begin);
      skip_space(lines);
    }
  }

  /// Appends the next part; false where there is none.
  bool part(std::vector<GbnfNode>& parts) {
    const char c = peek();
    if (c == '"') {
      ++at_;
      GbnfNode literal = node(Kind::kSequence);
      while (peek() != '"') {
        const uint32_t character = code_point();
        literal.parts.push_back(node(Kind::kChars));
        literal.parts.back().chars = {{character, character}};
      }
      ++at_;
      parts.push_back(std::move(literal));
    } else if (c == '[') {
      parts.push_back(char_class());
    } else if (c == '.') {
      ++at_;
      parts.push_back(node(Kind::kChars));
      parts.back().chars = others({});
    } else if (c == '(') {
      ++at_;
      skip_space(Lines::kCross);
      GbnfNode group = choice(Lines::kCross);
      if (peek() != ')') fail("got no ')', expected one for each '('");
      ++at_;
      parts.push_back(std::move(group));
    } else if (c == '<') {
      const size_t end = text_.find('>', at_);
      const std::string_view token =
          text_.substr(at_, end == std::string_view::npos ? end : end + 1 - at_);
      if (end == std::string_view::npos || token.find_first_of(" \t\r\n") != std::string_view::npos)
        fail("got no '>', expected a control token, <|name|> or <[id]>");
      at_ = end + 1;
      parts.push_back(node(Kind::kToken));
      parts.back().token = std::string(token);
    } else if (c == '!') {
      fail("got '!', expected a part that can be enforced: all tokens but one cannot");
    } else if (is_name(c)) {
      parts.push_back(node(Kind::kRule));
      parts.back().rule = rule_index(name());
    } else {
      return false;
    }
    return true;
  }

  /// Applies what follows a part to it.
  void repeat(std::vector<GbnfNode>& parts, size_t begin) {
    for (;;) {
      skip_space(Lines::kStay);
      uint32_t min = 0, max = GbnfNode::kNoMax;
      const char c = peek();
      if (c == '+') min = 1;
      if (c == '?') max = 1;
      if (c == '{')
        bounds(min, max);
      else if (c == '*' || c == '+' || c == '?')
        ++at_;
      else
        return;
      GbnfNode repeated = node(Kind::kRepeat);
      repeated.min = min;
      repeated.max = max;
      repeated.parts.push_back(std::move(parts[begin]));
      parts[begin] = std::move(repeated);
    }
  }

  void bounds(uint32_t& min, uint32_t& max) {
    ++at_;
    const auto first = number();
    if (!first) fail("got no number, expected {m}, {m,} or {m,n}");
    min = max = *first;
    if (peek() == ',') {
      ++at_;
      max = number().value_or(GbnfNode::kNoMax);
    }
    if (peek() != '}') fail("got no '}', expected {m}, {m,} or {m,n}");
    ++at_;
    if (max < min) fail(fmt::format("got {{{},{}}}, expected the smaller number first", min, max));
  }
  std::optional<uint32_t> number() {
    skip_space(Lines::kStay);
    std::optional<uint32_t> value;
    for (; peek() >= '0' && peek() <= '9'; ++at_) {
      value = value.value_or(0) * 10 + static_cast<uint32_t>(peek() - '0');
      if (*value > kRepeatMax)
        fail(fmt::format("got a number of times, expected at most {}", kRepeatMax));
    }
    skip_space(Lines::kStay);
    return value;
  }

  GbnfNode char_class() {
    ++at_;
    const bool is_negated = peek() == '^';
    if (is_negated) ++at_;
    GbnfNode::Ranges ranges;
    while (peek() != ']') {
      const uint32_t first = code_point();
      uint32_t last = first;
      if (peek() == '-' && peek(1) != ']') {
        ++at_;
        last = code_point();
      }
      if (last < first) fail("got a range from a greater character to a smaller one");
      ranges.emplace_back(first, last);
    }
    ++at_;
    GbnfNode made = node(Kind::kChars);
    made.chars = is_negated ? others(std::move(ranges)) : others(others(std::move(ranges)));
    if (made.chars.empty()) fail("got a class without characters, expected at least one");
    return made;
  }

  uint32_t code_point() {
    if (at_ >= text_.size())
      fail("got the end of the text, expected the end of a literal or class");
    const auto byte = static_cast<unsigned char>(text_[at_]);
    if (byte == '\\') return escaped();
    size_t length = 1;
    if (byte >= 0xF0)
      length = 4;
    else if (byte >= 0xE0)
      length = 3;
    else if (byte >= 0xC0)
      length = 2;
    uint32_t value = length == 1 ? byte : byte & (0x7FU >> length);
    for (size_t i = 1; i < length; ++i)
      value = value << 6 | (static_cast<unsigned char>(text_[at_ + i]) & 0x3FU);
    at_ += length;
    return value;
  }
  uint32_t escaped() {
    const char c = peek(1);
    at_ += 2;
    switch (c) {
      case 'x': return hex(2);
      case 'u': return hex(4);
      case 'U': return hex(8);
      case 't': return '\t';
      case 'r': return '\r';
      case 'n': return '\n';
      case '\\':
      case '"':
      case '[':
      case ']':
      case '-':
      case '^': return static_cast<unsigned char>(c);
      default:
        fail(fmt::format("got the escape '\\{}', expected one of t r n x u U \\ \" [ ]",
                         printable_line(std::string(1, c))));
    }
  }
  uint32_t hex(size_t digits) {
    uint32_t value = 0;
    for (size_t i = 0; i < digits; ++i, ++at_) {
      const char c = peek();
      uint32_t digit = 16;
      if (c >= '0' && c <= '9') digit = static_cast<uint32_t>(c - '0');
      if (c >= 'a' && c <= 'f') digit = static_cast<uint32_t>(c - 'a' + 10);
      if (c >= 'A' && c <= 'F') digit = static_cast<uint32_t>(c - 'A' + 10);
      if (digit > 15) fail(fmt::format("got no {} hexadecimal digits in an escape", digits));
      value = value << 4 | digit;
    }
    if (value > kLastCodePoint || (value >= kFirstSurrogate && value <= kLastSurrogate))
      fail(fmt::format("got the escape of {:#x}, expected a character", value));
    return value;
  }

  const std::string_view text_;
  size_t at_ = 0;
  size_t node_count_ = 0;
  GbnfGrammar grammar_;
  std::map<std::string, size_t> index_;
  std::vector<bool> is_defined_;
};

}  // namespace

Result<GbnfGrammar> parse_gbnf(std::string_view text) {
  try {
    return GbnfParser(text).parse();
  } catch (const SyntaxError& error) {
    return Error{ErrorCode::kInvalidArgument, "[gbnf] " + error.message};
  }
}

}  // namespace pie::grammar
