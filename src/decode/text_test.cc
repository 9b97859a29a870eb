#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "decode/draft_length.h"
#include "decode/ngram_index.h"
#include "decode/text_cutter.h"

namespace pie::decode {
namespace {

using Tokens = std::vector<TokenId>;

TEST(NgramIndex, gives_what_followed_the_longest_earlier_match) {
  NgramIndex index(2);
  for (const TokenId token : {1, 2, 3, 4, 9, 2, 3, 5, 7, 1, 2, 3}) index.append(token);
  EXPECT_EQ(index.look_up(3), (Tokens{4, 9, 2})) << "1 2 3 is longer than 2 3";
  index.append(5);
  EXPECT_EQ(index.look_up(2), (Tokens{7, 1})) << "2 3 5";
  index.append(100);
  EXPECT_TRUE(index.look_up(8).empty());
}

TEST(NgramIndex, of_equal_matches_the_latest_counts) {
  NgramIndex index(1);
  for (const TokenId token : {1, 2, 8, 1, 3, 9, 1}) index.append(token);
  EXPECT_EQ(index.look_up(1), (Tokens{3}));
}

TEST(NgramIndex, looks_into_sources_and_not_from_one_into_the_next) {
  NgramIndex index(2);
  index.add_source(Tokens{5, 6, 7});
  index.add_source(Tokens{8, 9});
  for (const TokenId token : {1, 5, 6}) index.append(token);
  EXPECT_EQ(index.look_up(5), (Tokens{7}));
  index.append(8);
  index.append(9);
  EXPECT_TRUE(index.look_up(5).empty()) << "nothing follows 8 9 in its source";
}

TEST(NgramIndex, agrees_with_a_search_from_end_to_end) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    NgramIndex index(3);
    Tokens text;
    for (int i = 0; i < 40; ++i) {
      text.push_back(random() % 3);
      index.append(text.back());
    }
    size_t best = 0, at = 0;
    for (size_t end = 3; end < text.size(); ++end) {
      size_t length = 0;
      while (length < end && text[end - 1 - length] == text[text.size() - 1 - length]) ++length;
      if (length >= 3 && length >= best) best = length, at = end;
    }
    const Tokens found = index.look_up(1);
    ASSERT_EQ(found.empty(), best == 0);
    // With more matches than it compares it may know a shorter one, but it is a match.
    if (best > 0 && best <= 5) EXPECT_TRUE(found[0] < 3) << at;
  }
}

TEST(DraftLength, grows_while_drafts_are_right_and_pauses_when_they_are_not) {
  DraftLength length(16);
  EXPECT_EQ(length.next(0), 6U);
  length.tried(6, 6);
  EXPECT_EQ(length.next(0), 12U);
  length.tried(12, 12);
  EXPECT_EQ(length.next(0), 16U);
  EXPECT_EQ(length.next(31), 3U) << "beside many";
  length.tried(16, 3);
  EXPECT_EQ(length.next(0), 4U);
  uint32_t tries = 0;
  for (int i = 0; i < 1000; ++i) {
    if (length.next(0) == 0) continue;
    ++tries;
    length.tried(1, 0);
  }
  EXPECT_LT(tries, 25U) << "each of no use";
}

TEST(StopTextCutter, gives_whole_characters_and_holds_back_what_may_become_a_stop_text) {
  StopTextCutter cutter({"STOP", "\n\n"});
  EXPECT_EQ(cutter.push("a\xE2\x82"), "a");
  EXPECT_EQ(cutter.push("\xAC ST"), "\xE2\x82\xAC ");
  EXPECT_EQ(cutter.push("ART"), "START");
  EXPECT_EQ(cutter.push("\n"), "");
  EXPECT_EQ(cutter.push("b ST"), "\nb ");
  EXPECT_EQ(cutter.push("OP more"), "");
  EXPECT_EQ(*cutter.found(), "STOP");
  EXPECT_EQ(cutter.push("after"), "");
  EXPECT_EQ(cutter.finish(), "");
}

TEST(StopTextCutter, ends_at_the_earliest_stop_text_and_gives_the_rest_at_the_end) {
  StopTextCutter cutter({"end", "the end", ""});
  EXPECT_EQ(cutter.push("so the end"), "so ");
  EXPECT_EQ(*cutter.found(), "the end");
  StopTextCutter open({"never"});
  EXPECT_EQ(open.push("nev"), "");
  EXPECT_EQ(open.push("\xE2"), "");
  EXPECT_EQ(open.finish(), "nev\xEF\xBF\xBD");
}

}  // namespace
}  // namespace pie::decode
