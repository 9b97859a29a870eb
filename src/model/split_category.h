#pragma once
#include <unicode.h>

#include <array>
#include <cstdint>
#include <utility>

namespace pie::model {

/// What libllama's expressions see of a category: a letter for the characters beyond ASCII, and
/// those of ASCII.
struct Category {
  char name;
  uint32_t flag;
  uint8_t letter;
  std::array<std::pair<uint8_t, uint8_t>, 8> ascii;  ///< ranges; {0, 0} ends them
};

constexpr std::array kCategories = {
    Category{'N', unicode_cpt_flags::NUMBER, 0xD1, {{{'0', '9'}}}},
    Category{'L', unicode_cpt_flags::LETTER, 0xD2, {{{'A', 'Z'}, {'a', 'z'}}}},
    Category{
        'P',
        unicode_cpt_flags::PUNCTUATION,
        0xD3,
        {{{'!', '#'}, {'%', '*'}, {',', '/'}, {':', ';'}, {'?', '@'}, {'[', ']'}, {'_', '_'}}}},
    Category{'M', unicode_cpt_flags::ACCENT_MARK, 0xD4, {}},
    Category{
        'S',
        unicode_cpt_flags::SYMBOL,
        0xD5,
        {{{'$', '$'}, {'+', '+'}, {'<', '>'}, {'^', '^'}, {'`', '`'}, {'|', '|'}, {'~', '~'}}}},
};

}  // namespace pie::model
