#include "host/subscription_queue.h"

#include <gtest/gtest.h>

namespace pie::host {
namespace {

TEST(SubscriptionQueue, delivers_in_order_and_is_ready_while_it_has_messages) {
  SubscriptionQueue queue;
  EXPECT_FALSE(queue.event()->ready());
  EXPECT_EQ(queue.pop(), std::nullopt);
  queue.push("a");
  queue.push("b");
  EXPECT_TRUE(queue.event()->ready());
  EXPECT_EQ(queue.pop(), "a");
  EXPECT_TRUE(queue.event()->ready());
  EXPECT_EQ(queue.pop(), "b");
  EXPECT_FALSE(queue.event()->ready());
  queue.push("c");
  EXPECT_TRUE(queue.event()->ready());
  EXPECT_EQ(queue.pop(), "c");
}

TEST(SubscriptionQueue, slow_subscriber_is_told_how_many_were_dropped) {
  SubscriptionQueue queue({.count_max = 3, .bytes_max = 1000});
  for (int i = 0; i < 10; ++i) queue.push(std::to_string(i));
  EXPECT_EQ(queue.pop(), "[dropped 7 messages]");
  for (const char* text : {"7", "8", "9"}) EXPECT_EQ(queue.pop(), text);
  EXPECT_EQ(queue.pop(), std::nullopt);
  EXPECT_FALSE(queue.event()->ready());
}

TEST(SubscriptionQueue, is_bounded_in_bytes_too) {
  SubscriptionQueue queue({.count_max = 100, .bytes_max = 10});
  queue.push("aaaa");
  queue.push("bbbb");
  queue.push("cccc");
  EXPECT_EQ(queue.pop(), "[dropped 1 messages]");
  EXPECT_EQ(queue.pop(), "bbbb");
  EXPECT_EQ(queue.pop(), "cccc");
}

TEST(SubscriptionQueue, notice_of_messages_too_large_to_hold_is_readable) {
  SubscriptionQueue queue({.count_max = 100, .bytes_max = 4});
  queue.push("too large");
  EXPECT_TRUE(queue.event()->ready());
  EXPECT_EQ(queue.pop(), "[dropped 1 messages]");
  EXPECT_FALSE(queue.event()->ready());
}

TEST(SubscriptionQueue, nothing_comes_after_close) {
  SubscriptionQueue queue;
  queue.push("a");
  queue.close();
  queue.push("b");
  EXPECT_FALSE(queue.event()->ready());
  EXPECT_EQ(queue.pop(), std::nullopt);
}

}  // namespace
}  // namespace pie::host
