#include "instance/local_bus.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace pie::instance {
namespace {

Bus::Message shared(std::string text) {
  return std::make_shared<const std::string>(std::move(text));
}

TEST(LocalBus, a_topic_has_so_many_subscribers_as_one_broadcast_reaches) {
  LocalBus bus;
  size_t delivered = 0;
  const auto count = [&](const Bus::Message&) { ++delivered; };
  uint64_t last = 0;
  for (size_t i = 0; i < LocalBus::kSubscribersMax; ++i) last = *bus.subscribe("u", "t", count);
  const auto refused = bus.subscribe("u", "t", count);
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(refused.error().message, "subscribers of one topic: used 8192, allowed 8192");
  bus.broadcast("u", "t", shared("1"));
  EXPECT_EQ(delivered, LocalBus::kSubscribersMax);
  bus.unsubscribe(last);
  EXPECT_TRUE(bus.subscribe("u", "t", count).ok());
}

TEST(LocalBus, delivers_to_the_users_subscribers_of_the_topic_until_they_unsubscribe) {
  LocalBus bus;
  std::vector<std::string> got;
  const uint64_t token =
      *bus.subscribe("u", "t", [&](const Bus::Message& m) { got.push_back(*m); });
  bus.broadcast("u", "t", shared("1"));
  bus.broadcast("other", "t", shared("not theirs"));
  bus.broadcast("u", "other", shared("not this topic"));
  bus.unsubscribe(token);
  bus.broadcast("u", "t", shared("too late"));
  bus.unsubscribe(token);
  EXPECT_EQ(got, (std::vector<std::string>{"1"}));
}

TEST(LocalBus, no_delivery_runs_once_unsubscribe_has_returned) {
  LocalBus bus;
  for (int i = 0; i < 200; ++i) {
    bool alive = true;
    bool late = false;
    const uint64_t token = *bus.subscribe("u", "t", [&](const Bus::Message&) { late |= !alive; });
    std::thread sender([&] {
      for (int n = 0; n < 20; ++n) bus.broadcast("u", "t", shared("m"));
    });
    bus.unsubscribe(token);
    alive = false;
    sender.join();
    EXPECT_FALSE(late);
  }
}

}  // namespace
}  // namespace pie::instance
