#pragma once
#include <string>
#include <string_view>

#include "base/result.h"

namespace pie::grammar {

/// A grammar in llama.cpp's notation (GBNF) as one in llguidance's dialect of Lark that allows the
/// same texts. Recurses as deep as the text nests.
///
/// GBNF has no lexer, Lark has one that takes as much as it can. Parts without recursion become
/// terminals, unless that could take from what follows them (gbnf_lexemes.h); others become
/// terminals of single characters. kInvalidArgument: the text is wrong, or too large.
Result<std::string> gbnf_to_lark(std::string_view text);

}  // namespace pie::grammar
