#include "grammar/gbnf.h"

#include <fmt/format.h>

#include <map>
#include <vector>

#include "grammar/gbnf_lexemes.h"
#include "grammar/gbnf_syntax.h"

namespace pie::grammar {
namespace {

using Kind = GbnfNode::Kind;

bool is_plain(uint32_t c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == ' ';
}

std::string character(uint32_t c) {
  return is_plain(c) ? std::string(1, static_cast<char>(c)) : fmt::format("\\u{{{:x}}}", c);
}

std::string expression_of(const GbnfNode::Ranges& chars) {
  if (chars.size() == 1 && chars[0].first == chars[0].second) return character(chars[0].first);
  std::string text = "[";
  for (const auto& [first, last] : chars) {
    text += character(first);
    if (last > first) text += "-" + character(last);
  }
  return text + "]";
}

std::string times(const GbnfNode& repeat) {
  if (repeat.max == GbnfNode::kNoMax && repeat.min <= 1) return repeat.min == 0 ? "*" : "+";
  if (repeat.min == 0 && repeat.max == 1) return "?";
  if (repeat.max == GbnfNode::kNoMax) return fmt::format("{{{},}}", repeat.min);
  return fmt::format("{{{},{}}}", repeat.min, repeat.max);
}

class LarkWriter {
 public:
  explicit LarkWriter(const GbnfGrammar& grammar)
      : grammar_(grammar), is_written_(grammar.rules.size(), false) {}

  std::string write() {
    const GbnfNode& root = grammar_.rules[grammar_.root].body;
    text_ = "start: " + (root.is_regular ? terminal_of(root) : rule_name(grammar_.root)) + "\n";
    while (!rules_.empty() || !terminals_.empty()) {
      if (!rules_.empty()) {
        const size_t rule = rules_.back();
        rules_.pop_back();
        text_ += fmt::format("r{}: {}\n", rule, rule_text(grammar_.rules[rule].body));
      } else {
        const GbnfNode* terminal = terminals_.back();
        terminals_.pop_back();
        text_ += fmt::format("T{}: {}\n", names_.at(terminal), terminal_text(*terminal));
      }
    }
    return std::move(text_);
  }

 private:
  std::string rule_name(size_t rule) {
    if (!is_written_[rule]) rules_.push_back(rule);
    is_written_[rule] = true;
    return fmt::format("r{}", rule);
  }
  std::string terminal_of(const GbnfNode& node) {
    const auto [name, is_new] = names_.emplace(&node, names_.size());
    if (is_new) terminals_.push_back(&node);
    return fmt::format("T{}", name->second);
  }
  const GbnfNode& body_of(const GbnfNode& node) const { return grammar_.rules[node.rule].body; }

  template <class Write>
  std::string parts_text(const GbnfNode& node, const Write& write_part) {
    if (node.kind == Kind::kRepeat) return "(" + write_part(node.parts.front()) + ")" + times(node);
    const char* between = node.kind == Kind::kChoice ? " | " : " ";
    std::string text;
    for (const GbnfNode& part : node.parts) {
      if (!text.empty()) text += between;
      text += write_part(part);
    }
    if (text.empty()) text = "\"\"";
    return fmt::format("({})", text);
  }

  std::string rule_text(const GbnfNode& node) {
    if (is_lexeme(grammar_, node))
      return terminal_of(node.kind == Kind::kRule ? body_of(node) : node);
    if (node.kind == Kind::kRule) return rule_name(node.rule);
    if (node.kind == Kind::kToken) return node.token;
    if (node.kind == Kind::kChars) return terminal_of(node);
    return parts_text(node, [this](const GbnfNode& part) { return rule_text(part); });
  }

  std::string terminal_text(const GbnfNode& node) {
    if (node.kind == Kind::kRule) return terminal_of(body_of(node));
    if (node.kind == Kind::kChars) return fmt::format("/{}/", expression_of(node.chars));
    if (node.kind == Kind::kSequence && !node.parts.empty()) {
      std::string text;
      for (const GbnfNode& part : node.parts) {
        if (part.kind != Kind::kChars) text.clear();
        if (part.kind != Kind::kChars) break;
        text += expression_of(part.chars);
      }
      if (!text.empty()) return fmt::format("/{}/", text);
    }
    return parts_text(node, [this](const GbnfNode& part) { return terminal_text(part); });
  }

  const GbnfGrammar& grammar_;
  std::string text_;
  std::vector<bool> is_written_;             ///< by rule
  std::map<const GbnfNode*, size_t> names_;  ///< of terminals
  std::vector<size_t> rules_;                ///< to be written
  std::vector<const GbnfNode*> terminals_;   ///< to be written
};

}  // namespace

Result<std::string> gbnf_to_lark(std::string_view text) {
  PIE_TRY_ASSIGN(GbnfGrammar grammar, parse_gbnf(text));
  PIE_TRY(choose_lexemes(grammar));
  return LarkWriter(grammar).write();
}

}  // namespace pie::grammar
