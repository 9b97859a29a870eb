#include "model/format_cache.h"

#include <gtest/gtest.h>

#include <string>

namespace pie::model {
namespace {

FormatCache::Format format(size_t bytes) {
  common_chat_params made;
  made.parser = std::string(bytes, 'x');
  return std::make_shared<const common_chat_params>(std::move(made));
}

TEST(FormatCacheTest, what_was_not_used_for_longest_goes) {
  FormatCache cache;
  EXPECT_EQ(cache.find("0"), nullptr);
  for (size_t i = 0; i < FormatCache::kEntriesMax; ++i) cache.add(std::to_string(i), format(i));
  ASSERT_NE(cache.find("0"), nullptr);
  cache.add("more", format(1));
  EXPECT_EQ(cache.find("1"), nullptr);
  EXPECT_NE(cache.find("0"), nullptr);
  EXPECT_NE(cache.find("more"), nullptr);
  EXPECT_EQ(cache.hits(), 3U);
}

TEST(FormatCacheTest, they_take_no_more_than_so_many_bytes) {
  FormatCache cache;
  for (const char* key : {"a", "b", "c"})
    cache.add(key, format(FormatCache::kBytesMax / 2 - 1'000));
  EXPECT_EQ(cache.find("a"), nullptr);
  EXPECT_NE(cache.find("b"), nullptr);
  EXPECT_NE(cache.find("c"), nullptr);
  cache.add("whole", format(FormatCache::kBytesMax + 1));
  EXPECT_EQ(cache.find("whole"), nullptr);
  EXPECT_NE(cache.find("c"), nullptr);
}

}  // namespace
}  // namespace pie::model
