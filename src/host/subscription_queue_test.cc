#include "host/subscription_queue.h"

#include <gtest/gtest.h>

namespace pie::host {
namespace {

std::shared_ptr<HostMemory> memory(uint64_t bytes_max = 1 << 20) {
  return std::make_shared<HostMemory>(bytes_max);
}
std::shared_ptr<const std::string> shared(std::string text) {
  return std::make_shared<const std::string>(std::move(text));
}

TEST(SubscriptionQueue, what_it_holds_is_charged_and_the_oldest_go_when_that_is_too_much) {
  const auto mine = memory(3'000);
  SubscriptionQueue first(mine), second(mine);
  const auto text = shared(std::string(744, 'x'));  // 1,000 bytes with what a message takes
  for (int i = 0; i < 3; ++i) first.push(text);
  EXPECT_EQ(mine->used_bytes(), 3'000U);
  EXPECT_EQ(text.use_count(), 4) << "a broadcast is not copied";
  second.push(text);
  EXPECT_EQ(second.pop(), "[dropped 1 messages]") << "what others hold stays";
  first.push(text);
  EXPECT_EQ(first.pop(), "[dropped 1 messages]");
  EXPECT_EQ(first.pop(), *text);
  EXPECT_EQ(mine->used_bytes(), 2'000U);
  first.close();
  EXPECT_EQ(mine->used_bytes(), 0U);
}

TEST(SubscriptionQueue, delivers_in_order_and_is_ready_while_it_has_messages) {
  SubscriptionQueue queue(memory());
  EXPECT_FALSE(queue.event()->ready());
  EXPECT_EQ(queue.pop(), std::nullopt);
  queue.push(shared("a"));
  queue.push(shared("b"));
  EXPECT_TRUE(queue.event()->ready());
  EXPECT_EQ(queue.pop(), "a");
  EXPECT_TRUE(queue.event()->ready());
  EXPECT_EQ(queue.pop(), "b");
  EXPECT_FALSE(queue.event()->ready());
  queue.push(shared("c"));
  EXPECT_TRUE(queue.event()->ready());
  EXPECT_EQ(queue.pop(), "c");
}

TEST(SubscriptionQueue, slow_subscriber_is_told_how_many_were_dropped) {
  SubscriptionQueue queue(memory(), {.count_max = 3, .bytes_max = 1000});
  for (int i = 0; i < 10; ++i) queue.push(shared(std::to_string(i)));
  EXPECT_EQ(queue.pop(), "[dropped 7 messages]");
  for (const char* text : {"7", "8", "9"}) EXPECT_EQ(queue.pop(), text);
  EXPECT_EQ(queue.pop(), std::nullopt);
  EXPECT_FALSE(queue.event()->ready());
}

TEST(SubscriptionQueue, is_bounded_in_bytes_too) {
  SubscriptionQueue queue(memory(), {.count_max = 100, .bytes_max = 10});
  queue.push(shared("aaaa"));
  queue.push(shared("bbbb"));
  queue.push(shared("cccc"));
  EXPECT_EQ(queue.pop(), "[dropped 1 messages]");
  EXPECT_EQ(queue.pop(), "bbbb");
  EXPECT_EQ(queue.pop(), "cccc");
}

TEST(SubscriptionQueue, notice_of_messages_too_large_to_hold_is_readable) {
  SubscriptionQueue queue(memory(), {.count_max = 100, .bytes_max = 4});
  queue.push(shared("too large"));
  EXPECT_TRUE(queue.event()->ready());
  EXPECT_EQ(queue.pop(), "[dropped 1 messages]");
  EXPECT_FALSE(queue.event()->ready());
}

TEST(SubscriptionQueue, nothing_comes_after_close) {
  SubscriptionQueue queue(memory());
  queue.push(shared("a"));
  queue.close();
  queue.push(shared("b"));
  EXPECT_FALSE(queue.event()->ready());
  EXPECT_EQ(queue.pop(), std::nullopt);
}

}  // namespace
}  // namespace pie::host
