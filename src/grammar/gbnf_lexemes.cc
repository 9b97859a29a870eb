#include "grammar/gbnf_lexemes.h"

#include <algorithm>
#include <map>
#include <set>

#include "grammar/char_classes.h"
#include "grammar/gbnf_follow.h"
#include "grammar/lexeme_positions.h"

namespace pie::grammar {
namespace {

using Kind = GbnfNode::Kind;

/// Finds out which rules reach themselves or a control token.
class Regularity {
 public:
  explicit Regularity(GbnfGrammar& grammar)
      : grammar_(grammar), states_(grammar.rules.size(), State::kUnknown) {}
  void mark() {
    for (size_t i = 0; i < grammar_.rules.size(); ++i) rule(i);
    for (GbnfRule& one : grammar_.rules) mark(one.body);
  }

 private:
  enum class State : char { kUnknown, kOpen, kRegular, kIrregular };

  /// A rule that is open reaches itself: it and all that led here are irregular.
  bool rule(size_t index) {
    State& state = states_[index];
    if (state == State::kOpen) state = State::kIrregular;
    if (state != State::kUnknown) return state == State::kRegular;
    state = State::kOpen;
    const bool is_regular = reach(grammar_.rules[index].body);
    states_[index] =
        is_regular && states_[index] == State::kOpen ? State::kRegular : State::kIrregular;
    return states_[index] == State::kRegular;
  }
  bool reach(const GbnfNode& node) {
    if (node.kind == Kind::kToken) return false;
    if (node.kind == Kind::kRule) return rule(node.rule);
    bool is_regular = true;
    for (const GbnfNode& part : node.parts) is_regular = reach(part) && is_regular;
    return is_regular;
  }
  bool mark(GbnfNode& node) {
    node.is_regular = node.kind != Kind::kToken;
    if (node.kind == Kind::kRule) node.is_regular = states_[node.rule] == State::kRegular;
    for (GbnfNode& part : node.parts) node.is_regular = mark(part) && node.is_regular;
    return node.is_regular;
  }

  GbnfGrammar& grammar_;
  std::vector<State> states_;
};

/// What is the terminal of a part: its own, or its rule's.
GbnfNode* lexeme_of(GbnfGrammar& grammar, GbnfNode& node) {
  if (node.kind == Kind::kRule) return &grammar.rules[node.rule].body;
  return &node;
}

/// The terminals as they are now, in the order of the grammar.
class Lexemes {
 public:
  explicit Lexemes(GbnfGrammar& grammar) : grammar_(grammar), seen_(grammar.rules.size(), false) {
    rule(grammar.root);
  }
  std::vector<GbnfNode*> all;

 private:
  void rule(size_t index) {
    if (seen_[index]) return;
    seen_[index] = true;
    visit(grammar_.rules[index].body);
  }
  void visit(GbnfNode& node) {
    if (is_lexeme(grammar_, node)) {
      GbnfNode* lexeme = lexeme_of(grammar_, node);
      if (known_.insert(lexeme).second) all.push_back(lexeme);
    } else if (node.kind == Kind::kRule) {
      rule(node.rule);
    } else {
      for (GbnfNode& part : node.parts) visit(part);
    }
  }
  GbnfGrammar& grammar_;
  std::vector<bool> seen_;
  std::set<GbnfNode*> known_;
};

}  // namespace

bool is_lexeme(const GbnfGrammar& grammar, const GbnfNode& node) {
  if (node.kind == Kind::kRule) {
    const GbnfNode& body = grammar.rules[node.rule].body;
    return body.is_regular && !body.is_split;
  }
  return node.is_regular && !node.is_split;
}

Result<void> choose_lexemes(GbnfGrammar& grammar) {
  Regularity(grammar).mark();
  if (grammar.rules[grammar.root].body.is_regular) return {};
  PIE_TRY_ASSIGN(const CharClasses classes, CharClasses::of(grammar));
  WorkLimit work;
  for (;;) {
    const Lexemes lexemes(grammar);
    std::map<const GbnfNode*, size_t> index;
    for (size_t i = 0; i < lexemes.all.size(); ++i) index[lexemes.all[i]] = i;
    PIE_TRY_ASSIGN(const std::vector<ClassSet> follow, follow_of(grammar, classes, index, work));
    PIE_TRY_ASSIGN(const std::set<size_t> to_split,
                   conflicts_of(grammar, classes, lexemes.all, follow, work));
    if (to_split.empty()) return {};
    for (const size_t i : to_split) lexemes.all[i]->is_split = true;
  }
}

}  // namespace pie::grammar
