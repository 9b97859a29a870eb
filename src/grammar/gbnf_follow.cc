#include "grammar/gbnf_follow.h"

#include <utility>

#include "grammar/gbnf_lexemes.h"

namespace pie::grammar {
namespace {

using Kind = GbnfNode::Kind;

/// How the texts of a part begin.
struct Beginning {
  bool is_nullable = true;
  ClassSet first;
};

class Follow {
 public:
  Follow(const GbnfGrammar& grammar, const CharClasses& classes,
         const std::map<const GbnfNode*, size_t>& lexemes, WorkLimit& work)
      : grammar_(grammar), classes_(classes), lexemes_(lexemes), work_(work) {
    const size_t rules = grammar.rules.size();
    begin_.assign(rules, {false, ClassSet(classes.count())});
    rule_follow_.assign(rules, ClassSet(classes.count()));
    is_reached_.assign(rules, false);
    lexeme_follow_.assign(lexemes.size(), ClassSet(classes.count()));
  }

  Result<std::vector<ClassSet>> find() {
    for (bool changes = true; changes && !is_over_;) {
      changes = false;
      for (size_t i = grammar_.rules.size(); i-- > 0;) {  // rules come before those they use
        const Beginning now = beginning(grammar_.rules[i].body);
        changes = begin_[i].first.add_all(now.first) || changes;
        changes =
            std::exchange(begin_[i].is_nullable, now.is_nullable) != now.is_nullable || changes;
      }
    }
    is_reached_[grammar_.root] = true;
    for (changed_ = true; changed_ && !is_over_;) {
      changed_ = false;
      for (size_t i = 0; i < grammar_.rules.size(); ++i)
        if (is_reached_[i]) walk(grammar_.rules[i].body, rule_follow_[i]);
    }
    if (is_over_) return refusal_.error();
    return std::move(lexeme_follow_);
  }

 private:
  bool spend() {
    if (is_over_) return false;
    refusal_ = work_.take(20 + classes_.count() / 16);
    is_over_ = !refusal_.ok();
    return !is_over_;
  }

  Beginning beginning(const GbnfNode& node) {
    Beginning all{true, ClassSet(classes_.count())};
    if (!spend()) return all;
    switch (node.kind) {
      case Kind::kChars: return {false, classes_.set_of(node.chars)};
      case Kind::kToken: all.is_nullable = false; return all;
      case Kind::kRule: return begin_[node.rule];
      case Kind::kSequence:
        for (const GbnfNode& part : node.parts) {
          const Beginning one = beginning(part);
          all.first.add_all(one.first);
          if (!one.is_nullable) {
            all.is_nullable = false;
            break;
          }
        }
        return all;
      case Kind::kChoice:
        all.is_nullable = false;
        for (const GbnfNode& part : node.parts) {
          const Beginning one = beginning(part);
          all.first.add_all(one.first);
          all.is_nullable = all.is_nullable || one.is_nullable;
        }
        return all;
      case Kind::kRepeat:
        all = beginning(node.parts.front());
        all.is_nullable = all.is_nullable || node.min == 0;
        return all;
    }
    return all;
  }

  /// `after`: what may follow the part.
  void walk(const GbnfNode& node, ClassSet after) {
    if (!spend()) return;
    if (is_lexeme(grammar_, node)) {
      const GbnfNode* lexeme = node.kind == Kind::kRule ? &grammar_.rules[node.rule].body : &node;
      changed_ = lexeme_follow_[lexemes_.at(lexeme)].add_all(after) || changed_;
      return;
    }
    switch (node.kind) {
      case Kind::kRule:
        changed_ = rule_follow_[node.rule].add_all(after) || !is_reached_[node.rule] || changed_;
        is_reached_[node.rule] = true;
        return;
      case Kind::kChoice:
        for (const GbnfNode& part : node.parts) walk(part, after);
        return;
      case Kind::kRepeat:
        after.add_all(beginning(node.parts.front()).first);
        return walk(node.parts.front(), std::move(after));
      case Kind::kSequence:
        for (size_t i = node.parts.size(); i-- > 0;) {
          walk(node.parts[i], after);
          Beginning one = beginning(node.parts[i]);
          if (one.is_nullable) one.first.add_all(after);
          after = std::move(one.first);
        }
        return;
      case Kind::kChars:
      case Kind::kToken: return;
    }
  }

  const GbnfGrammar& grammar_;
  const CharClasses& classes_;
  const std::map<const GbnfNode*, size_t>& lexemes_;
  WorkLimit& work_;
  Result<void> refusal_;
  bool is_over_ = false, changed_ = false;
  std::vector<Beginning> begin_;  ///< by rule
  std::vector<ClassSet> rule_follow_, lexeme_follow_;
  std::vector<bool> is_reached_;
};

}  // namespace

Result<std::vector<ClassSet>> follow_of(const GbnfGrammar& grammar, const CharClasses& classes,
                                        const std::map<const GbnfNode*, size_t>& lexemes,
                                        WorkLimit& work) {
  return Follow(grammar, classes, lexemes, work).find();
}

}  // namespace pie::grammar
