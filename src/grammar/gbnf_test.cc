#include "grammar/gbnf.h"

#include <gtest/gtest.h>

#include "grammar/test_vocabulary.h"

namespace pie::grammar::test {
namespace {

struct GbnfTest : GrammarTest {
  static void expect(std::string_view grammar, const std::vector<std::string>& allowed,
                     const std::vector<std::string>& refused) {
    const Matcher matcher = GrammarTest::matcher(GrammarKind::kGbnf, grammar);
    for (const std::string& text : allowed)
      EXPECT_TRUE(allows(matcher.fork(), text)) << text << "\n"
                                                << grammar << "\n"
                                                << *gbnf_to_lark(grammar);
    for (const std::string& text : refused)
      EXPECT_FALSE(allows(matcher.fork(), text)) << text << "\n"
                                                 << grammar << "\n"
                                                 << *gbnf_to_lark(grammar);
  }
};

constexpr const char* kJson = R"(
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::=
  "{" ws (
            string ":" ws value
    ("," ws string ":" ws value)*
  )? "}" ws
array  ::=
  "[" ws (
            value
    ("," ws value)*
  )? "]" ws
string ::=
  "\"" (
    [^"\\\x7F\x00-\x1F] |
    "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) # escapes
  )* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
# Optional space: by convention, applied in this grammar after literal chars when allowed
ws ::= | " " | "\n" [ \t]{0,20}
)";

TEST_F(GbnfTest, a_grammar_of_json_reads_json) {
  expect(kJson,
         {"{}", "{\"a\":1}", "{ \"a\": [1, -2.5e7, \"\\u00e9\\n\"],\"b\":{\"c\":null}}",
          "{\"é\":true}"},
         {"", "[]", "{\"a\":}", "{\"a\":01}", "{\"a\":\"\n\"}", "{\"a\":1,}", "{'a':1}"});
}

TEST_F(GbnfTest, a_lexer_that_takes_all_it_can_does_not_show) {
  // What one part could take belongs to the next one.
  expect("root ::= (\"a\" | \"ab\") \"bc\" root?", {"abc", "abbc", "abcabbc"}, {"ab", "abb", ""});
  expect("root ::= \"(\" root \")\" | [a-z]+ \"end\"", {"(xend)", "endend", "((aend))"},
         {"end", "(x)", "x"});
  expect("root ::= id \"if\" root | id\nid ::= [a-z]*", {"", "if", "xifif", "aifb"}, {"1", "if1"});
  expect("root ::= digit{2} digit? \"-\" root | \"!\"\ndigit ::= [0-9]", {"12-!", "123-12-!", "!"},
         {"1-!", "1234-!", "12-"});
  expect("root ::= (\"a\" root \"1\") | (\"ab\" root \"2\") | \"\"",
         {"", "a1", "ab2", "aab21", "aba12"}, {"a2", "ab1", "ab"});
  expect("root ::= root \"+\" root | ws [0-9]+ ws\nws ::= \" \"*", {"1", " 1 + 22 +3"},
         {"+", "1 2"});
}

TEST_F(GbnfTest, every_part_of_the_notation_is_read) {
  expect("root ::= .{2,3}", {"ab", "é\n", "abc", "日本語"}, {"a", "abcd", "\xff\xff"});
  expect("root ::= [^a-c\\n] [\\x41-\\x43] \"\\u00e9\\U0001F600\"", {"xAé😀"}, {"aAé😀", "\nAé😀"});
  expect("root ::= \"a\"{3} \"b\"{2,} \"c\"{0,2} [-x]", {"aaabb-", "aaabbbccx"},
         {"aabb-", "aaab-"});
  expect("root ::= (\"a\" |\n \"b\" # either\n)+ \"\\\"\\\\\\t\"", {"ab\"\\\t"}, {"\"\\\t"});
  expect("root-rule ::= \"x\"\nroot ::= root-rule? \"/\" \"*\"", {"x/*", "/*"}, {"x"});
  expect("root ::= \"\" | \"a\"", {"", "a"}, {"aa"});

  Matcher named = GrammarTest::matcher(GrammarKind::kGbnf, "root ::= \"a\" <|tool|> [b]");
  EXPECT_TRUE(named.accept(std::vector<TokenId>{'a', TestVocabulary::kNamed, 'b'}).ok());
  for (const char* wrong :
       {"root ::= !<|tool|>", "root ::= [", "root ::= \"a", "root ::= (\"a\"",
        "root ::= \"a\"{2,1}", "root ::= \"\\q\"", "root := \"a\"", "root ::= [b-a]",
        "root ::= \"a\"{1", "root ::= \"\\uD800\"", "", "root ::= \"a\" )", "root ::= <|tool"})
    EXPECT_FALSE(gbnf_to_lark(wrong).ok()) << wrong;
}

}  // namespace
}  // namespace pie::grammar::test
