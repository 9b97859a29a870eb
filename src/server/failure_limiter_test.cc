#include "server/failure_limiter.h"

#include <gtest/gtest.h>

namespace pie::server {
namespace {

TEST(FailureLimiter, answers_to_one_address_go_out_one_after_the_other) {
  FailureLimiter limiter;
  EXPECT_EQ(limiter.delay_ms("a", 100, 1'500), 1'500u);
  EXPECT_EQ(limiter.delay_ms("a", 100, 1'500), 2'500u);
  EXPECT_EQ(limiter.delay_ms("a", 100, 1'500), 3'500u);
  EXPECT_EQ(limiter.delay_ms("b", 100, 1'500), 1'500u);
  EXPECT_EQ(limiter.delay_ms("a", 50'000, 1'500), 1'500u);
}

TEST(FailureLimiter, a_delay_has_an_end) {
  FailureLimiter limiter;
  uint64_t longest = 0;
  for (int i = 0; i < 1'000; ++i) longest = std::max(longest, limiter.delay_ms("a", 0, 1'000));
  EXPECT_EQ(longest, FailureLimiter::kDelayMsMax);
}

TEST(FailureLimiter, a_flood_of_addresses_does_not_grow_it) {
  FailureLimiter limiter;
  for (int i = 0; i < 100'000; ++i) limiter.delay_ms(std::to_string(i), 0, 1'000);
  EXPECT_LE(limiter.address_count(), FailureLimiter::kAddressesMax + 1);
  // Those that have waited long enough make room.
  EXPECT_EQ(limiter.delay_ms("new", 100'000, 1'000), 1'000u);
  EXPECT_LE(limiter.address_count(), 2u);
}

}  // namespace
}  // namespace pie::server
