#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grammar/grammar.h"
#include "grammar/matcher.h"

namespace pie::grammar::test {

/// A vocabulary of single bytes, some words and two tokens that end a text; its tokenizer takes the
/// longest token that fits, and the name of a control token for the token, as models' do.
struct TestVocabulary {
  static constexpr TokenId kWords = 256, kEnd = 264, kEndOfTurn = 265, kNamed = 266;

  static const std::vector<std::string>& tokens() {
    static const std::vector<std::string> all = [] {
      std::vector<std::string> made;
      for (int byte = 0; byte < 256; ++byte) made.emplace_back(1, static_cast<char>(byte));
      for (const char* word : {"true", "false", "\":", "name", "\"name\":", "aa", "ab", "é",
                               "<|end|>", "<|im_end|>", "<|tool|>"})
        made.emplace_back(word);
      return made;
    }();
    return all;
  }

  static std::vector<TokenId> tokenize(std::string_view text) {
    std::vector<TokenId> found;
    while (!text.empty()) {
      TokenId best = static_cast<unsigned char>(text.front());
      for (TokenId id = kWords; id < tokens().size(); ++id)
        if (text.starts_with(tokens()[id]) && tokens()[id].size() > tokens()[best].size())
          best = id;
      found.push_back(best);
      text.remove_prefix(tokens()[best].size());
    }
    return found;
  }

  static std::shared_ptr<const Vocabulary> make() {
    VocabularyData data;
    data.tokens = tokens();
    data.control = {kEnd, kEndOfTurn, kNamed};
    data.stops = {kEnd, kEndOfTurn};
    data.tokenize = tokenize;
    auto vocabulary = Vocabulary::make(std::move(data));
    EXPECT_TRUE(vocabulary.ok()) << vocabulary.error().message;
    return *vocabulary;
  }
};

struct GrammarTest : testing::Test {
  static Result<std::shared_ptr<const Grammar>> compile(GrammarKind kind, std::string_view text) {
    static const std::shared_ptr<const Vocabulary> vocabulary = TestVocabulary::make();
    return Grammar::compile(vocabulary, kind, text);
  }
  static Matcher matcher(GrammarKind kind, std::string_view text) {
    auto grammar = compile(kind, text);
    EXPECT_TRUE(grammar.ok()) << grammar.error().message << "\n" << text;
    return Matcher(*grammar);
  }
  /// Whether the grammar allows the text as a whole, byte by byte.
  static bool allows(Matcher start, std::string_view text) {
    for (const char byte : text) {
      const TokenId token = static_cast<unsigned char>(byte);
      if (!start.accept({&token, 1}).ok()) return false;
    }
    return start.can_stop();
  }
  static bool is_allowed(const std::vector<uint32_t>& mask, TokenId token) {
    return (mask.at(token / 32) >> (token % 32) & 1) != 0;
  }
  static std::vector<TokenId> bytes_of(std::string_view text) {
    std::vector<TokenId> all;
    for (const char byte : text) all.push_back(static_cast<unsigned char>(byte));
    return all;
  }
};

}  // namespace pie::grammar::test
