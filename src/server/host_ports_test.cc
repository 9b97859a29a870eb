#include "server/host_ports.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <string>
#include <vector>

namespace pie::server {
namespace {

using Keys = std::vector<std::string>;

class StoreKvsTest : public testing::Test {
 protected:
  void SetUp() override {
    home_ = std::filesystem::path(testing::TempDir()) / "pie_host_ports_test";
    std::filesystem::remove_all(home_);
    auto store = store::Store::open(home_);
    ASSERT_TRUE(store.ok()) << store.error().message;
    store_ = std::move(*store);
    kvs_ = std::make_unique<StoreKvs>(store_->kvs(), ledger_, 1'000'000);
  }
  void TearDown() override {
    kvs_ = nullptr;
    store_ = nullptr;
    std::filesystem::remove_all(home_);
  }

  Result<Keys> list(const std::string& user, uint64_t bytes_max) {
    std::promise<Result<Keys>> answer;
    kvs_->list_keys(user, bytes_max, [&](Result<Keys> keys) { answer.set_value(std::move(keys)); });
    return answer.get_future().get();
  }

  std::filesystem::path home_;
  Ledger ledger_{UserLimits{}, TotalLimits{}, 0};
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<StoreKvs> kvs_;
};

TEST_F(StoreKvsTest, the_calls_of_a_user_take_effect_in_their_order) {
  std::promise<std::string> last;
  const auto ignore = [](Result<void> done) { EXPECT_TRUE(done.ok()); };
  for (int i = 0; i < 100; ++i) kvs_->set("u", "key", std::to_string(i), ignore);
  kvs_->get("u", "key", [&](Result<std::optional<std::string>> value) { last.set_value(**value); });
  kvs_->remove("u", "key", ignore);
  kvs_->remove("u", "never there", ignore);
  EXPECT_EQ(last.get_future().get(), "99");
  std::promise<bool> there;
  kvs_->exists("u", "key", [&](Result<bool> found) { there.set_value(*found); });
  EXPECT_FALSE(there.get_future().get());
  EXPECT_GT(ledger_.of("u")->cpu.used(), 0U) << "the work is charged";
}

TEST_F(StoreKvsTest, keys_are_listed_in_pieces_up_to_a_bound_that_the_refusal_names) {
  Keys expected;
  for (int i = 0; i < 2'500; ++i) {
    expected.push_back("key " + std::to_string(10'000 + i));
    ASSERT_TRUE(store_->kvs().set("u", expected.back(), "", 0).ok());
  }
  ASSERT_TRUE(store_->kvs().set("other", "theirs", "", 0).ok());
  const uint64_t bytes = 2'500 * (host::kListItemBytes + expected[0].size());
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
}  // namespace pie::server
