#pragma once
#include <cstddef>
#include <set>
#include <vector>

#include "grammar/char_classes.h"
#include "grammar/gbnf_syntax.h"

namespace pie::grammar {

/// The terminals that have to be split: those that, when a text is one of another terminal or of
/// their own, could go on with a character that may also follow it (`follow`, by terminal); and the
/// largest where they are too large to tell. Empty: a lexer that always takes as much as it can
/// reads every text as the grammar does.
Result<std::set<size_t>> conflicts_of(const GbnfGrammar& grammar, const CharClasses& classes,
                                      const std::vector<GbnfNode*>& lexemes,
                                      const std::vector<ClassSet>& follow, WorkLimit& work);

}  // namespace pie::grammar
