#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace pie::grammar {

/// A part of a grammar in llama.cpp's notation.
struct GbnfNode {
  enum class Kind {
    kChars,     ///< one character of `chars`
    kToken,     ///< the control token `token`, with its angle brackets
    kRule,      ///< what `rule` allows
    kSequence,  ///< all `parts` one after the other; without any, nothing
    kChoice,    ///< one of `parts`
    kRepeat,    ///< `parts[0]`, `min` to `max` times
  };
  using Ranges = std::vector<std::pair<uint32_t, uint32_t>>;
  static constexpr uint32_t kNoMax = UINT32_MAX;

  Kind kind = Kind::kSequence;
  Ranges chars;  ///< code points, both ends included; ascending, apart from each other
  std::string token;
  size_t rule = 0;  ///< index in GbnfGrammar::rules
  std::vector<GbnfNode> parts;
  uint32_t min = 0, max = 0;

  bool is_regular = false;  ///< without recursion and control tokens
  bool is_split = false;    ///< regular, and yet no terminal as a whole
};

struct GbnfRule {
  std::string name;
  GbnfNode body;
};

struct GbnfGrammar {
  std::vector<GbnfRule> rules;
  size_t root = 0;
};

/// kInvalidArgument: the text is wrong (by line), a rule is missing, or it is too large.
Result<GbnfGrammar> parse_gbnf(std::string_view text);

}  // namespace pie::grammar
