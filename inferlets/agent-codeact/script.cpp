#include "script.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "expression.h"

namespace {

using inferlet::fail;
using inferlet::Result;

constexpr size_t kDepthMax = 32, kOutputMax = 16 * 1024;

struct Line {
  size_t number, indent;
  std::string text;
};

/// Without comments and empty lines.
std::vector<Line> lines_of(std::string_view text) {
  std::vector<Line> lines;
  for (size_t number = 1; !text.empty(); ++number) {
    const std::string_view whole = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(whole.size() + 1, text.size()));
    std::string line(whole.substr(0, whole.find('#')));
    line.erase(line.find_last_not_of(' ') + 1);
    const size_t indent = line.find_first_not_of(' ');
    if (indent != std::string::npos) lines.push_back({number, indent, line.substr(indent)});
  }
  return lines;
}

Result<void> unknown(std::string_view text) {
  return fail("got '" + std::string(text) + "', which this part of Python does not have");
}

/// What stands between two parts of a line; none where these are not its ends.
std::optional<std::string_view> between(std::string_view text, std::string_view begin,
                                        std::string_view end) {
  if (text.size() < begin.size() + end.size() || !text.starts_with(begin) || !text.ends_with(end))
    return std::nullopt;
  return text.substr(begin.size(), text.size() - begin.size() - end.size());
}

class Script {
 public:
  Script(std::string_view text, int64_t steps_max)
      : lines_(lines_of(text)), steps_left_(steps_max) {}
  Result<std::string> run() {
    const auto done = block(0, lines_.size());
    if (!done) return fail("line " + std::to_string(line_) + ": " + done.error());
    return output_;
  }

 private:
  Result<void> block(size_t begin, size_t end);
  Result<void> condition(std::string_view text, size_t begin, size_t end, size_t* last);
  Result<void> loop(std::string_view head, size_t begin, size_t end);
  Result<void> repeat(std::string_view name, std::string_view range, size_t begin, size_t end);
  Result<void> simple(std::string_view text);
  Result<void> assign(std::string_view text);
  size_t end_of_block(size_t at, size_t end) const;
  Result<int64_t> value(std::string_view text) {
    return Expression(text, names_, steps_left_).value();
  }

  const std::vector<Line> lines_;
  Names names_;
  std::string output_;
  int64_t steps_left_;
  size_t line_ = 0, depth_ = 0;
};

/// Behind the lines that are indented below this one.
size_t Script::end_of_block(size_t at, size_t end) const {
  size_t last = at + 1;
  while (last < end && lines_[last].indent > lines_[at].indent) ++last;
  return last;
}

Result<void> Script::block(size_t begin, size_t end) {
  if (++depth_ > kDepthMax) return fail("blocks are too deep");
  for (size_t at = begin; at < end;) {
    const std::string_view text = lines_[at].text;
    size_t last = end_of_block(at, end);
    line_ = lines_[at].number;
    if (lines_[at].indent != lines_[begin].indent) return fail("unexpected indent");
    Result<void> done;
    if (!text.ends_with(':')) {
      done = last == at + 1 ? simple(text) : fail("unexpected indent below");
    } else if (last == at + 1) {
      done = fail("got nothing below, expected indented lines");
    } else if (const auto is_true = between(text, "if ", ":")) {
      done = condition(*is_true, at, end, &last);
    } else {
      done = loop(text, at + 1, last);
    }
    if (!done) return done;
    at = last;
  }
  --depth_;
  return {};
}

/// `last`: the end of what is below, and then of what is below `else`.
Result<void> Script::condition(std::string_view text, size_t at, size_t end, size_t* last) {
  const auto is_true = value(text);
  if (!is_true) return fail(is_true.error());
  const size_t end_of_if = *last;
  const bool has_else = end_of_if < end && lines_[end_of_if].text == "else:";
  if (has_else) *last = end_of_block(end_of_if, end);
  if (*is_true != 0) return block(at + 1, end_of_if);
  return has_else ? block(end_of_if + 1, *last) : Result<void>();
}

Result<void> Script::loop(std::string_view head, size_t begin, size_t end) {
  if (const auto range = between(head, "for ", "):")) {
    constexpr std::string_view kIn = " in range(";
    const size_t in = range->find(kIn);
    if (in == std::string_view::npos || !is_name(range->substr(0, in))) return unknown(head);
    // With its brackets.
    const std::string_view in_brackets = head.substr(4 + in + kIn.size() - 1);
    return repeat(range->substr(0, in), in_brackets.substr(0, in_brackets.size() - 1), begin, end);
  }
  const auto condition = between(head, "while ", ":");
  if (!condition) return unknown(head);
  for (const size_t line = line_;;) {
    line_ = line;
    const auto goes_on = value(*condition);
    if (!goes_on) return fail(goes_on.error());
    if (*goes_on == 0) return {};
    if (auto done = block(begin, end); !done) return done;
  }
}

Result<void> Script::repeat(std::string_view name, std::string_view range, size_t begin,
                            size_t end) {
  auto bounds = Expression(range, names_, steps_left_).values();
  if (!bounds) return fail(bounds.error());
  if (bounds->size() == 1) bounds->insert(bounds->begin(), 0);
  if (bounds->size() == 2) bounds->push_back(1);
  if (bounds->size() != 3 || bounds->at(2) == 0)
    return fail("got a range of another form, expected 1 to 3 numbers and steps other than 0");
  const int64_t first = bounds->at(0), last = bounds->at(1), step = bounds->at(2);
  for (int64_t i = first; step > 0 ? i < last : i > last;) {
    if (--steps_left_ < 0) return fail("it runs for too long");
    names_[std::string(name)] = i;
    if (auto done = block(begin, end); !done) return done;
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return {};
}

Result<void> Script::simple(std::string_view text) {
  if (!text.starts_with("print(")) return assign(text);
  const auto values = Expression(text.substr(5), names_, steps_left_).values();
  if (!values) return fail(values.error());
  std::string printed;
  for (const int64_t one : *values) printed += (printed.empty() ? "" : " ") + std::to_string(one);
  output_ += printed + "\n";
  if (output_.size() > kOutputMax) return fail("it prints too much");
  return {};
}

Result<void> Script::assign(std::string_view text) {
  constexpr std::array<std::string_view, 5> kChanges = {"+", "-", "*", "//", "%"};
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos || text.substr(equals).starts_with("=="))
    return unknown(text);
  std::string_view left = text.substr(0, equals);
  const auto op =
      std::ranges::find_if(kChanges, [&](std::string_view one) { return left.ends_with(one); });
  if (op != kChanges.end()) left.remove_suffix(op->size());
  const std::string name(left.substr(0, left.find_last_not_of(' ') + 1));
  if (!is_name(name)) return unknown(text);
  auto right = value(text.substr(equals + 1));
  if (right && op != kChanges.end()) {
    if (!names_.contains(name)) return fail("name '" + name + "' is not defined");
    right = calculated(names_[name], *op, *right);
  }
  if (!right) return fail(right.error());
  names_[name] = *right;
  return {};
}

}  // namespace

Result<std::string> run_script(std::string_view text, int64_t steps_max) {
  return Script(text, steps_max).run();
}

std::string_view script_grammar() {
  return R"gbnf(root ::= "```python\n" line{1,12} "```"
line ::= simple | head "    " simple ("    " inner)*
inner ::= simple | "if " expr ":\n        " simple
head ::= ("for " name " in range(" expr (", " expr)? "):\n") | ("if " expr ":\n")
simple ::= (name (" = " | " += " | " *= ") expr | "print(" expr ")") "\n"
expr ::= term (" " ("+" | "-" | "*" | "//" | "%" | "==" | "<" | ">") " " term){0,4}
term ::= number | name | "(" expr ")" | ("min" | "max") "(" expr ", " expr ")"
number ::= [0-9]{1,6}
name ::= [a-z] [a-z_]{0,11}
)gbnf";
}
