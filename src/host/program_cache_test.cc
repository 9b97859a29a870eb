#include "host/program_cache.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace pie::host {
namespace {

struct ProgramCacheTest : testing::Test {
  std::string get(const std::string& user, const std::string& program, const std::string& key) {
    const auto value = cache.load(user, program, key);
    return value ? *value : "none";
  }
  Result<void> put(const std::string& user, const std::string& key, const std::string& value) {
    return cache.store(user, "program", key, value, memory);
  }
  bool has(const std::string& user, const std::string& key) {
    return cache.load(user, "program", key) != nullptr;
  }

  std::shared_ptr<Quota> memory = std::make_shared<Quota>("memory", "bytes", 1 << 20);
  ProgramCache cache{{.user_bytes_max = 100'000, .total_bytes_max = 150'000}};
  const std::string large = std::string(40'000, 'x');
};

TEST_F(ProgramCacheTest, a_value_is_there_for_its_user_and_program_alone) {
  ASSERT_TRUE(cache.store("ann", "p", "k", "by ann", memory).ok());
  EXPECT_EQ(get("ann", "p", "k"), "by ann");
  EXPECT_EQ(get("bob", "p", "k"), "none");
  EXPECT_EQ(get("ann", "q", "k"), "none");
  EXPECT_EQ(get("ann", "p", "other"), "none");
  ASSERT_TRUE(cache.store("ann", "p", "k", "again", memory).ok());
  EXPECT_EQ(get("ann", "p", "k"), "again");
  ASSERT_TRUE(cache.store("ann", "p", "k", "", memory).ok());
  EXPECT_EQ(get("ann", "p", "k"), "none");
  EXPECT_EQ(memory->used(), 0U);
}

TEST_F(ProgramCacheTest, what_the_user_has_not_used_for_longest_makes_room) {
  for (const char* key : {"a", "b"}) ASSERT_TRUE(put("ann", key, large).ok());
  EXPECT_TRUE(has("ann", "a"));  // b is the older one from here
  ASSERT_TRUE(put("ann", "c", large).ok());
  EXPECT_TRUE(has("ann", "a"));
  EXPECT_FALSE(has("ann", "b"));
  EXPECT_TRUE(has("ann", "c"));
  EXPECT_LT(memory->used(), 100'000U);
}

TEST_F(ProgramCacheTest, beyond_the_sum_anybodys_oldest_goes) {
  for (const char* user : {"ann", "bob", "cat", "dan"}) ASSERT_TRUE(put(user, "k", large).ok());
  EXPECT_FALSE(has("ann", "k"));
  for (const char* user : {"bob", "cat", "dan"}) EXPECT_TRUE(has(user, "k"));
}

TEST_F(ProgramCacheTest, what_the_user_may_not_hold_is_refused_after_his_own_went) {
  memory = std::make_shared<Quota>("memory", "bytes", 60'000);
  ASSERT_TRUE(put("ann", "a", large).ok());
  ASSERT_TRUE(put("ann", "b", large).ok());
  EXPECT_FALSE(has("ann", "a"));
  ASSERT_TRUE(memory->take(15'000));
  const auto refused = put("ann", "c", std::string(50'000, 'x'));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  EXPECT_NE(refused.error().message.find("allowed 60000"), std::string::npos);
  EXPECT_EQ(memory->used(), 15'000U);
}

TEST_F(ProgramCacheTest, keys_and_values_have_a_largest_length) {
  EXPECT_EQ(put("ann", std::string(1'025, 'k'), "v").error().message,
            "[cache] got a key of 1025 bytes, expected at most 1024");
  EXPECT_EQ(put("ann", "k", std::string(ProgramCache::kValueBytesMax + 1, 'v')).error().code,
            ErrorCode::kInvalidArgument);
  ProgramCache small({.user_bytes_max = 1'000, .total_bytes_max = 1'000});
  EXPECT_EQ(small.store("ann", "p", "k", large, nullptr).error().code,
            ErrorCode::kResourceExhausted);
}

}  // namespace
}  // namespace pie::host
