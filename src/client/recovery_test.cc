#include "client/recovery.h"

#include <gtest/gtest.h>

namespace pie::client {
namespace {

using std::chrono::milliseconds;

constexpr ReconnectOptions kOptions{3, milliseconds(150)};
constexpr milliseconds kSoon{10};

Error lost() { return {ErrorCode::kUnavailable, "reset by peer"}; }

TEST(ConnectAttempts, wait_longer_each_time_and_give_up_with_the_last_error) {
  ConnectAttempts attempts(kOptions);
  const auto first = attempts.failed(lost());
  ASSERT_TRUE(first.ok());
  EXPECT_GE(*first, milliseconds(50));
  EXPECT_LE(*first, milliseconds(100));
  const auto second = attempts.failed(lost());
  ASSERT_TRUE(second.ok());
  EXPECT_GE(*second, milliseconds(75));
  EXPECT_LE(*second, milliseconds(150));
  const auto third = attempts.failed(lost());
  ASSERT_FALSE(third.ok());
  EXPECT_EQ(third.error().message, "reset by peer");
}

TEST(ConnectAttempts, what_is_no_loss_is_not_tried_again) {
  ConnectAttempts attempts(kOptions);
  const auto refused = attempts.failed({ErrorCode::kPermissionDenied, "wrong key"});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kPermissionDenied);
}

TEST(CallLosses, the_first_is_made_good_at_once_and_too_many_end_the_call) {
  CallLosses losses(kOptions, CallLosses::Kind::kActs);
  const auto first = losses.lost(lost(), kSoon);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(*first, milliseconds(0));
  for (int i = 0; i < 2; ++i) {
    const auto delay = losses.lost(lost(), kSoon);
    ASSERT_TRUE(delay.ok());
    EXPECT_GE(*delay, milliseconds(50));
  }
  const auto last = losses.lost(lost(), kSoon);
  ASSERT_FALSE(last.ok());
  EXPECT_NE(last.error().message.find("lost 4 times during this call"), std::string::npos);
  EXPECT_NE(last.error().message.find("reset by peer"), std::string::npos);
}

TEST(CallLosses, a_call_that_waits_for_long_is_not_what_ends_the_connection) {
  CallLosses waits(kOptions, CallLosses::Kind::kWaits), acts(kOptions, CallLosses::Kind::kActs);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(waits.lost(lost(), milliseconds(61'000)).ok());
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(acts.lost(lost(), milliseconds(61'000)).ok());
  EXPECT_FALSE(acts.lost(lost(), milliseconds(61'000)).ok());
}

}  // namespace
}  // namespace pie::client
