#include "grammar/matcher.h"

#include <gtest/gtest.h>

#include "grammar/test_vocabulary.h"

namespace pie::grammar::test {
namespace {

using MatcherTest = GrammarTest;
using Tokens = std::vector<TokenId>;

TEST_F(MatcherTest, a_mask_has_what_may_come_next_and_the_ends_exactly_where_the_text_may_end) {
  Matcher matcher = GrammarTest::matcher(GrammarKind::kRegex, "ab?c?");
  auto mask = matcher.mask();
  ASSERT_TRUE(mask.ok()) << mask.error().message;
  EXPECT_EQ(mask->size(), (TestVocabulary::tokens().size() + 31) / 32);
  for (TokenId id = 0; id < TestVocabulary::tokens().size(); ++id)
    EXPECT_EQ(is_allowed(*mask, id), id == 'a' || TestVocabulary::tokens()[id] == "ab") << id;
  EXPECT_FALSE(matcher.can_stop());

  ASSERT_TRUE(matcher.accept(bytes_of("a")).ok());
  mask = matcher.mask();
  EXPECT_TRUE(is_allowed(*mask, 'b') && is_allowed(*mask, 'c'));
  EXPECT_TRUE(is_allowed(*mask, TestVocabulary::kEnd));
  EXPECT_TRUE(is_allowed(*mask, TestVocabulary::kEndOfTurn));
  EXPECT_FALSE(is_allowed(*mask, TestVocabulary::kNamed));
  EXPECT_TRUE(matcher.can_stop());
  EXPECT_FALSE(matcher.is_complete());

  ASSERT_TRUE(matcher.accept(bytes_of("bc")).ok());
  EXPECT_TRUE(matcher.is_complete());
  mask = matcher.mask();
  for (TokenId id = 0; id < TestVocabulary::tokens().size(); ++id)
    EXPECT_EQ(is_allowed(*mask, id), id == TestVocabulary::kEnd || id == TestVocabulary::kEndOfTurn)
        << id;
}

TEST_F(MatcherTest, an_end_ends_the_text_and_can_be_taken_back) {
  for (const char* text : {"ab?", "a"}) {  // where more may follow, and where not
    Matcher matcher = GrammarTest::matcher(GrammarKind::kRegex, text);
    EXPECT_FALSE(matcher.accept(Tokens{TestVocabulary::kEndOfTurn}).ok());
    ASSERT_TRUE(matcher.accept(Tokens{'a', TestVocabulary::kEndOfTurn}).ok());
    EXPECT_TRUE(matcher.is_complete());
    EXPECT_TRUE(matcher.can_stop());
    EXPECT_FALSE(matcher.accept(Tokens{TestVocabulary::kEnd}).ok());
    EXPECT_FALSE(matcher.accept(bytes_of("b")).ok());
    EXPECT_EQ(*matcher.validate(Tokens{TestVocabulary::kEnd}), 0U);
    ASSERT_TRUE(matcher.rollback(1).ok());
    EXPECT_EQ(matcher.length(), 1U);
    EXPECT_EQ(*matcher.validate(Tokens{TestVocabulary::kEnd}), 1U);
    ASSERT_TRUE(matcher.accept(Tokens{TestVocabulary::kEnd}).ok());
    ASSERT_TRUE(matcher.rollback(2).ok());
    EXPECT_FALSE(matcher.can_stop());
    EXPECT_TRUE(matcher.accept(bytes_of("a")).ok());
  }
}

TEST_F(MatcherTest, a_refused_token_is_named_and_changes_nothing) {
  Matcher matcher = GrammarTest::matcher(GrammarKind::kRegex, "abc");
  const auto refused = matcher.accept(bytes_of("abx"));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused.error().message,
            "[grammar] got token 120 (x) at 2, expected one that the grammar allows");
  EXPECT_EQ(matcher.length(), 0U);
  EXPECT_EQ(*matcher.validate(bytes_of("abx")), 2U);
  EXPECT_TRUE(matcher.accept(bytes_of("abc")).ok());
  EXPECT_FALSE(matcher.rollback(4).ok());
  EXPECT_EQ(matcher.length(), 3U);
  EXPECT_FALSE(matcher.validate(Tokens{99'999}).ok());
  EXPECT_TRUE(matcher.can_stop());
}

TEST_F(MatcherTest, a_fork_goes_its_own_way) {
  Matcher one = GrammarTest::matcher(GrammarKind::kRegex, "a(b|c)d");
  ASSERT_TRUE(one.accept(bytes_of("a")).ok());
  Matcher other = one.fork();
  EXPECT_TRUE(one.accept(bytes_of("bd")).ok());
  EXPECT_EQ(other.length(), 1U);
  EXPECT_TRUE(other.accept(bytes_of("c")).ok());
  EXPECT_FALSE(other.can_stop());
  EXPECT_TRUE(one.can_stop());
  ASSERT_TRUE(other.rollback(2).ok());
  EXPECT_TRUE(other.accept(bytes_of("ab")).ok());
}

TEST_F(MatcherTest, forced_tokens_are_the_tokenizers_and_never_a_control_token) {
  Matcher json = GrammarTest::matcher(
      GrammarKind::kJsonSchema,
      R"({"type":"object","properties":{"name":{"type":"boolean"}},"required":["name"],
          "additionalProperties":false,"x-guidance":{"whitespace_flexible":false}})");
  auto forced = json.forced_tokens();
  ASSERT_TRUE(forced.ok()) << forced.error().message;
  EXPECT_EQ(*forced, (Tokens{'{', 260}));
  EXPECT_EQ(json.length(), 0U);
  EXPECT_TRUE(json.accept(*forced).ok());
  EXPECT_TRUE(json.forced_tokens()->empty());  // true or false

  Matcher literal = GrammarTest::matcher(GrammarKind::kRegex, "x<\\|im_end\\|>y");
  forced = literal.forced_tokens();
  ASSERT_TRUE(forced.ok()) << forced.error().message;
  for (const TokenId id : *forced) EXPECT_LT(id, TestVocabulary::kEnd);
  EXPECT_TRUE(literal.accept(*forced).ok());
  EXPECT_EQ(*GrammarTest::matcher(GrammarKind::kRegex, "x<\\|im_end\\|>y")
                 .validate(Tokens{'x', TestVocabulary::kEndOfTurn, 'y'}),
            1U);
}

TEST_F(MatcherTest, a_control_token_is_allowed_where_a_grammar_names_it) {
  Matcher matcher = GrammarTest::matcher(GrammarKind::kLark, "start: \"a\" <|tool|> \"b\"");
  EXPECT_EQ(*matcher.validate(bytes_of("a<|tool|>b")), 1U);
  EXPECT_TRUE(matcher.accept(Tokens{'a', TestVocabulary::kNamed, 'b'}).ok());
  EXPECT_TRUE(matcher.can_stop());
}

TEST_F(MatcherTest, what_a_call_may_take_is_bounded_and_the_matcher_survives) {
  // Each of the characters leads to more states than the last.
  Matcher matcher =
      GrammarTest::matcher(GrammarKind::kRegex, "((a{1,1000}){1,1000}){1,1000}b{99999999}");
  size_t accepted = 0;
  Result<void> result;
  while (accepted < 2'000 && result.ok()) {
    result = matcher.accept(bytes_of("a"));
    if (result.ok()) ++accepted;
  }
  EXPECT_EQ(matcher.length(), accepted);
  EXPECT_TRUE(result.ok() || result.error().code == ErrorCode::kResourceExhausted);
  EXPECT_TRUE(accepted == 0 || matcher.rollback(accepted).ok());
  EXPECT_TRUE(matcher.mask().ok());
}

/// A grammar whose masks take too much: each step can be read in more ways than the library bears.
TEST_F(MatcherTest, a_matcher_that_failed_comes_back_to_where_it_was) {
  std::string text = "start: /x/* r0 \"y\"\n";
  for (int i = 0; i < 60; ++i)
    text += "r" + std::to_string(i) + ": r" + std::to_string(i + 1) + " r" + std::to_string(i + 1) +
            "\n";
  text += "r60: \"a\"?\n";
  Matcher matcher = GrammarTest::matcher(GrammarKind::kLark, text);
  ASSERT_TRUE(matcher.accept(bytes_of(std::string(500, 'x'))).ok());
  Result<void> failed;
  for (int i = 0; i < 200 && failed.ok(); ++i) failed = matcher.accept(bytes_of("a"));
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code, ErrorCode::kResourceExhausted) << failed.error().message;
  const size_t length = matcher.length();
  ASSERT_GE(length, 500U);
  ASSERT_TRUE(matcher.rollback(length - 400).ok());
  auto again = matcher.accept(bytes_of("xx"));
  while (!again.ok() && again.error().code == ErrorCode::kUnavailable)
    again = matcher.accept(bytes_of("xx"));
  EXPECT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(matcher.length(), 402U);
  ASSERT_TRUE(matcher.rollback(402).ok());
  EXPECT_EQ(*matcher.validate(bytes_of("xxb")), 2U);
}

}  // namespace
}  // namespace pie::grammar::test
