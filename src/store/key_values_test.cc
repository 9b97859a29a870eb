#include "store/file_key_values.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "store/waiting.h"

namespace pie::store {
namespace {

using Keys = std::vector<std::string>;

class KeyValuesTest : public testing::Test {
 protected:
  void SetUp() override {
    home_ = std::filesystem::path(testing::TempDir()) / "pie_key_values_test";
    std::filesystem::remove_all(home_);
    std::filesystem::create_directories(home_);
    kvs_ = std::make_unique<FileKeyValues>(database(), ledger_, 1'000'000);
  }
  void TearDown() override {
    kvs_ = nullptr;
    std::filesystem::remove_all(home_);
  }

  Result<Keys> list(const std::string& user, uint64_t bytes_max) {
    return wait<Result<Keys>>(
        [&](auto done) { kvs_->list_keys(user, bytes_max, std::move(done)); });
  }
  std::unique_ptr<Database> database() const {
    return std::move(Database::open(home_ / "pie.db")).value();
  }

  std::filesystem::path home_;
  Ledger ledger_{UserLimits{}, TotalLimits{}, 0};
  std::unique_ptr<FileKeyValues> kvs_;
};

TEST_F(KeyValuesTest, the_calls_of_a_user_take_effect_in_their_order) {
  const auto ignore = [](Result<void> done) { EXPECT_TRUE(done.ok()); };
  for (int i = 0; i < 100; ++i) kvs_->set("u", "key", std::to_string(i), ignore);
  std::promise<std::string> last;
  kvs_->get("u", "key", [&](Result<std::optional<std::string>> value) { last.set_value(**value); });
  kvs_->remove("u", "key", ignore);
  kvs_->remove("u", "never there", ignore);
  EXPECT_EQ(last.get_future().get(), "99");
  std::promise<bool> there;
  kvs_->exists("u", "key", [&](Result<bool> found) { there.set_value(*found); });
  EXPECT_FALSE(there.get_future().get());
  EXPECT_GT(ledger_.of("u")->cpu.used(), 0U) << "the work is charged";
}

TEST_F(KeyValuesTest, keys_are_listed_in_pieces_up_to_a_bound_that_the_refusal_names) {
  Keys expected;
  KeyValueTable table(database());
  for (int i = 0; i < 2'500; ++i) {
    expected.push_back("key " + std::to_string(10'000 + i));
    ASSERT_TRUE(table.set("u", expected.back(), "", 0).ok());
  }
  ASSERT_TRUE(table.set("other", "theirs", "", 0).ok());
  const uint64_t bytes = 2'500 * (KeyValues::kListedKeyBytes + expected[0].size());
  const auto all = list("u", bytes);
  ASSERT_TRUE(all.ok()) << all.error().message;
  EXPECT_EQ(*all, expected);
  const auto refused = list("u", bytes - 1);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  EXPECT_NE(refused.error().message.find("expected at most " + std::to_string(bytes - 1)),
            std::string::npos);
  EXPECT_EQ(*list("other", bytes), Keys{"theirs"});
  EXPECT_EQ(*list("nobody", bytes), Keys{});
}

}  // namespace
}  // namespace pie::store
