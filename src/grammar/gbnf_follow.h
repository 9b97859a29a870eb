#pragma once
#include <cstddef>
#include <map>
#include <vector>

#include "grammar/char_classes.h"
#include "grammar/gbnf_syntax.h"

namespace pie::grammar {

/// With which characters may go on what follows each terminal: `lexemes` numbers them.
Result<std::vector<ClassSet>> follow_of(const GbnfGrammar& grammar, const CharClasses& classes,
                                        const std::map<const GbnfNode*, size_t>& lexemes,
                                        WorkLimit& work);

}  // namespace pie::grammar
