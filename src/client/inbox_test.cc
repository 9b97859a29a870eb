#include "client/inbox.h"

#include <gtest/gtest.h>

#include <string>

namespace pie::client {
namespace {

protocol::ClientEvent event(protocol::EventCode code, std::string data) {
  return {code, std::move(data)};
}

TEST(Inbox, what_does_not_fit_into_memory_comes_back_from_the_disk_in_order) {
  Inbox inbox;
  constexpr int kCount = 300;
  const auto payload = [](int i) {
    // Long ones, short ones between them, and an empty one.
    return std::string(i % 3 == 0 ? 200'000 : i % 3 == 1 ? 20 : 0, static_cast<char>('a' + i % 26));
  };
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < kCount; ++i)
      inbox.on_event(event(protocol::EventCode::kStdout, payload(i)));
    for (int i = 0; i < kCount; ++i) {
      const auto got = inbox.try_pop();
      ASSERT_TRUE(got && got->ok()) << i;
      EXPECT_EQ((*got)->data, payload(i)) << i;
    }
    EXPECT_FALSE(inbox.try_pop());
  }
  inbox.on_event(event(protocol::EventCode::kCompleted, "done"));
  EXPECT_EQ((*inbox.try_pop())->data, "done");
  EXPECT_EQ(inbox.try_pop()->error().message, "instance has ended: Completed: done");
}

}  // namespace
}  // namespace pie::client
