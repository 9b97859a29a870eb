#pragma once
#include "grammar/gbnf_syntax.h"

namespace pie::grammar {

/// Marks which parts of a grammar have no recursion (`is_regular`), and which of these must not be
/// terminals as a whole (`is_split`), for a lexer that takes as much text as any terminal can:
/// those that could go on where what follows another one may begin. Parts of one character always
/// can be. The rule `root` without recursion is one terminal, whatever it holds.
/// kInvalidArgument: it would take too much to know.
Result<void> choose_lexemes(GbnfGrammar& grammar);

/// Whether a part is a terminal where it stands in a rule that is none.
bool is_lexeme(const GbnfGrammar& grammar, const GbnfNode& node);

}  // namespace pie::grammar
