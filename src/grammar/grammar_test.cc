#include "grammar/grammar.h"

#include <gtest/gtest.h>

#include <functional>

#include "grammar/grammar_cache.h"
#include "grammar/test_vocabulary.h"

namespace pie::grammar::test {
namespace {

std::string repeated(std::string_view text, size_t count) {
  std::string all;
  for (size_t i = 0; i < count; ++i) all += text;
  return all;
}

std::string numbered(size_t count, const std::function<std::string(const std::string&)>& text) {
  std::string all;
  for (size_t i = 0; i < count; ++i) all += text(std::to_string(i));
  return all;
}

TEST_F(GrammarTest, what_cannot_be_enforced_is_an_error_that_names_it) {
  const struct {
    GrammarKind kind;
    std::string text, named;
  } cases[] = {
      {GrammarKind::kJsonSchema, R"({"if":{},"then":{}})", "\"if\""},
      {GrammarKind::kJsonSchema, R"({"unevaluatedProperties":false})", "unevaluatedProperties"},
      {GrammarKind::kJsonSchema, R"({"type":"array","uniqueItems":true})", "uniqueItems"},
      {GrammarKind::kJsonSchema, R"({"not":{}})", "\"not\""},
      {GrammarKind::kJsonSchema, R"({"oneOf":[{"minimum":1},{"maximum":2}]})", "[\"oneOf\"]"},
      {GrammarKind::kJsonSchema, R"({"type":"strin"})", "strin"},
      {GrammarKind::kJsonSchema, R"({"type":"string","format":"zippy"})", "zippy"},
      {GrammarKind::kJsonSchema, R"({"$ref":"http://example.com/x"})", "http://example.com/x"},
      {GrammarKind::kJsonSchema, R"({"type":)", "EOF"},
      {GrammarKind::kJsonSchema, R"({"$ref":"#"})", "no text"},
      {GrammarKind::kRegex, "a(?=b)", "look-around"},
      {GrammarKind::kRegex, "(", "unclosed"},
      {GrammarKind::kLark, "start: other", "other"},
      {GrammarKind::kGbnf, "root ::= other", "'other'"},
      {GrammarKind::kGbnf, "other ::= \"a\"", "'root'"},
      {GrammarKind::kGbnf, "root ::= \"a\"\nroot ::= \"b\"", "twice"},
      {GrammarKind::kGbnf, "root ::= \"a\"\n  [b-", "line 2"},
      {GrammarKind::kRegex, "\xff", "UTF-8"},
      {GrammarKind::kRegex, std::string("a\0b", 3), "NUL"},
  };
  for (const auto& one : cases) {
    const auto grammar = compile(one.kind, one.text);
    ASSERT_FALSE(grammar.ok()) << one.text;
    EXPECT_EQ(grammar.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(grammar.error().message.find(one.named), std::string::npos)
        << grammar.error().message;
  }
}

TEST_F(GrammarTest, json_schema_allows_what_is_valid_and_nothing_else) {
  const Matcher matcher = GrammarTest::matcher(
      GrammarKind::kJsonSchema,
      R"({"type":"object","properties":{"n":{"type":"integer","minimum":3,"maximum":12},
          "s":{"type":"string","pattern":"^[a-c]+$"}},"required":["n"],"additionalProperties":false})");
  for (const char* text : {R"({"n":3})", R"({"n": 12, "s": "abc"})", "{ \"n\"\n:\t7 }"})
    EXPECT_TRUE(allows(matcher.fork(), text)) << text;
  for (const char* text : {R"({"n":2})", R"({"n":13})", R"({"s":"a"})", R"({"n":3,"s":"d"})",
                           R"({"n":3,"x":1})", R"({"n":3)", "[]"})
    EXPECT_FALSE(allows(matcher.fork(), text)) << text;
}

/// Short texts that ask for much. Each is compiled or refused; a fault here ends the process.
TEST_F(GrammarTest, grammar_bombs_end_in_a_bounded_error) {
  const std::string items = repeated("{\"items\":", 100'000);
  const std::pair<GrammarKind, std::string> bombs[] = {
      {GrammarKind::kRegex, std::string(1 << 20, 'a')},
      {GrammarKind::kRegex, std::string(1 << 19, '(') + std::string(1 << 19, ')')},
      {GrammarKind::kRegex, repeated("a|", 1 << 19)},
      {GrammarKind::kRegex, repeated("a?", 100'000)},
      {GrammarKind::kRegex, repeated("\\w", 20'000)},
      {GrammarKind::kRegex, "((a{1,1000}){1,1000}){1,1000}b{99999999}"},
      {GrammarKind::kLark, "start: " + std::string(500'000, '(')},
      {GrammarKind::kLark, "start: start"},
      {GrammarKind::kLark, "start: r0\n" +
                               numbered(50'000,
                                        [](const std::string& i) {
                                          return "r" + i + ": r" +
                                                 std::to_string(std::stoul(i) + 1) + "\n";
                                        }) +
                               "r50000: \"a\"\n"},
      {GrammarKind::kLark, "start: T0\n" +
                               numbered(60,
                                        [](const std::string& i) {
                                          const std::string next =
                                              std::to_string(std::stoul(i) + 1);
                                          return "T" + i + ": T" + next + " T" + next + "\n";
                                        }) +
                               "T60: \"a\"\n"},
      {GrammarKind::kJsonSchema, items + "{}" + std::string(100'000, '}')},
      {GrammarKind::kJsonSchema, std::string(1 << 20, '[')},
      {GrammarKind::kJsonSchema,
       R"({"type":"object","required":[)" +
           numbered(60'000, [](const std::string& i) { return "\"v" + i + "\","; }) + "\"v\"]}"},
      {GrammarKind::kJsonSchema, R"({"type":"string","pattern":"^(.*a.{30}){30}$"})"},
      {GrammarKind::kJsonSchema, R"({"type":"integer","multipleOf":999999937,"minimum":5})"},
      {GrammarKind::kGbnf, "root ::= " + std::string(500'000, '(')},
      {GrammarKind::kGbnf, "root ::= \"" + std::string(1'000'000, 'a') + "\""},
      {GrammarKind::kGbnf, "root ::= ((\"a\"{1,1000}){1,1000}){1,1000} root?"},
      {GrammarKind::kGbnf, "root ::= \"a\" root r0 | r0\n" +
                               numbered(60,
                                        [](const std::string& i) {
                                          const std::string next =
                                              std::to_string(std::stoul(i) + 1);
                                          return "r" + i + " ::= r" + next + " r" + next + "\n";
                                        }) +
                               "r60 ::= \"a\"\n"},
      {GrammarKind::kGbnf, "root ::= \"a\" root | r0\n" +
                               numbered(9'000,
                                        [](const std::string& i) {
                                          return "r" + i + " ::= [b-c]* r" +
                                                 std::to_string(std::stoul(i) + 1) + "\n";
                                        }) +
                               "r9000 ::= root\n"},
  };
  for (const auto& [kind, text] : bombs) {
    uint64_t cpu_ns = 0;
    const auto vocabulary = TestVocabulary::make();
    const auto grammar = Grammar::compile(vocabulary, kind, text, &cpu_ns);
    EXPECT_LT(cpu_ns, 3'000'000'000U) << text.substr(0, 60);
    EXPECT_GT(cpu_ns, 0U);
    if (!grammar.ok()) {
      EXPECT_LT(grammar.error().message.size(), 1'000U);
      EXPECT_EQ(grammar.error().code, ErrorCode::kInvalidArgument) << grammar.error().message;
    } else {
      EXPECT_LT((*grammar)->bytes(), 200U << 20) << text.substr(0, 60);
      Matcher matcher(*grammar);
      (void)matcher.mask();
      (void)matcher.forced_tokens();
    }
  }
}

TEST_F(GrammarTest, the_cache_compiles_a_text_once_and_keeps_what_was_used_last) {
  int made = 0;
  GrammarCache cache(
      [&made] {
        ++made;
        VocabularyData data;
        data.tokens = TestVocabulary::tokens();
        data.stops = {TestVocabulary::kEnd};
        data.tokenize = TestVocabulary::tokenize;
        return data;
      },
      64 << 10);
  const auto first = *cache.get(GrammarKind::kRegex, "a+");
  EXPECT_EQ(cache.get(GrammarKind::kRegex, "a+")->get(), first.get());
  EXPECT_NE(cache.get(GrammarKind::kLark, "start: /a+/")->get(), first.get());
  EXPECT_FALSE(cache.get(GrammarKind::kRegex, "(").ok());
  for (int i = 0; i < 200; ++i)
    ASSERT_TRUE(cache.get(GrammarKind::kRegex, "b{" + std::to_string(i + 1) + "}").ok());
  EXPECT_NE(cache.get(GrammarKind::kRegex, "a+")->get(), first.get());  // it had to go
  EXPECT_TRUE(allows(Matcher(first), "aaa"));                           // and lives as long as held
  EXPECT_EQ(made, 1);
}

}  // namespace
}  // namespace pie::grammar::test
