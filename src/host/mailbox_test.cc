#include "host/mailbox.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace pie::host {
namespace {

using Messages = Mailbox<std::string>;

std::shared_ptr<Messages> make_box(uint64_t bytes_max = 1 << 20) {
  return std::make_shared<Messages>(std::make_shared<HostMemory>(bytes_max));
}
std::optional<std::string> text_of(const std::shared_ptr<Messages::Receiver>& receiver) {
  auto message = receiver->take();
  return message ? std::optional(std::move(message->content)) : std::nullopt;
}

TEST(Mailbox, messages_come_first_in_first_out) {
  auto box = make_box();
  for (const char* text : {"a", "b", "c"}) ASSERT_TRUE(box->post(text).ok());
  for (const char* text : {"a", "b", "c"}) {
    auto receiver = box->receive();
    EXPECT_TRUE(receiver->event()->ready());
    EXPECT_EQ(text_of(receiver), text);
  }
  EXPECT_EQ(text_of(box->receive()), std::nullopt);
}

TEST(Mailbox, outstanding_receivers_are_served_in_order) {
  auto box = make_box();
  auto first = box->receive(), second = box->receive();
  ASSERT_TRUE(box->post("a").ok());
  EXPECT_TRUE(first->event()->ready());
  EXPECT_FALSE(second->event()->ready());
  EXPECT_EQ(text_of(second), std::nullopt);
  ASSERT_TRUE(box->post("b").ok());
  EXPECT_TRUE(second->event()->ready());
  EXPECT_EQ(text_of(second), "b");
  EXPECT_EQ(text_of(first), "a");
}

TEST(Mailbox, dropped_receiver_swallows_nothing) {
  auto box = make_box();
  auto dropped = box->receive(), next = box->receive();
  ASSERT_TRUE(box->post("a").ok());
  EXPECT_FALSE(next->event()->ready());
  dropped = nullptr;  // unread, though it was ready
  EXPECT_TRUE(next->event()->ready());
  EXPECT_EQ(text_of(next), "a");

  dropped = box->receive();  // dropped before anything came
  dropped = nullptr;
  ASSERT_TRUE(box->post("b").ok());
  EXPECT_EQ(text_of(box->receive()), "b");
}

TEST(Mailbox, dropping_the_first_of_two_ready_ones_keeps_the_order) {
  auto box = make_box();
  auto first = box->receive(), second = box->receive();
  ASSERT_TRUE(box->post("a").ok());
  ASSERT_TRUE(box->post("b").ok());
  first = nullptr;
  EXPECT_EQ(text_of(second), "a");
  EXPECT_EQ(text_of(box->receive()), "b");
}

TEST(Mailbox, message_is_taken_once) {
  auto box = make_box();
  auto receiver = box->receive();
  ASSERT_TRUE(box->post("a").ok());
  ASSERT_TRUE(box->post("b").ok());
  EXPECT_EQ(text_of(receiver), "a");
  EXPECT_EQ(text_of(receiver), std::nullopt);
  EXPECT_EQ(text_of(box->receive()), "b");
}

TEST(Mailbox, wakes_who_waits) {
  auto box = make_box();
  auto receiver = box->receive();
  int woken = 0;
  receiver->event()->add_waiter([&] { ++woken; });
  ASSERT_TRUE(box->post("a").ok());
  EXPECT_EQ(woken, 1);
}

TEST(Mailbox, bytes_are_those_not_taken) {
  auto box = make_box();
  ASSERT_TRUE(box->post("four").ok());
  ASSERT_TRUE(box->post("sixsix").ok());
  EXPECT_EQ(box->bytes(), 10U + 2 * kMessageOverheadBytes);
  box->receive()->take();
  EXPECT_EQ(box->bytes(), 6U + kMessageOverheadBytes);
}

TEST(Mailbox, receiver_may_outlive_the_mailbox_of_its_instance) {
  auto box = make_box();
  auto receiver = box->receive();
  ASSERT_TRUE(box->post("a").ok());
  box = nullptr;
  EXPECT_EQ(text_of(receiver), "a");
}

TEST(Mailbox, an_empty_message_costs_too_and_what_is_too_much_is_refused) {
  const auto memory = std::make_shared<HostMemory>(1'000);
  const auto box = std::make_shared<Messages>(memory);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(box->post("").ok());
  const auto refused = box->post("");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  EXPECT_NE(refused.error().message.find("used 768 bytes and 256 more asked for, allowed 1000"),
            std::string::npos)
      << refused.error().message;
  EXPECT_EQ(text_of(box->receive()), "");
  EXPECT_TRUE(box->post("").ok());
  box->close();
  EXPECT_EQ(memory->used_bytes(), 0U);
  EXPECT_TRUE(box->post("after the end").ok());
  EXPECT_EQ(memory->used_bytes(), 0U);
}

TEST(Mailbox, the_users_instances_have_a_bound_together) {
  const auto user = std::make_shared<Quota>("the user's memory", "bytes", 600);
  const auto first = std::make_shared<Messages>(std::make_shared<HostMemory>(1 << 20, user));
  const auto second = std::make_shared<Messages>(std::make_shared<HostMemory>(1 << 20, user));
  ASSERT_TRUE(first->post("").ok());
  ASSERT_TRUE(second->post("").ok());
  EXPECT_EQ(second->post("").error().message.find("the user's memory: used 512 bytes"), 0U);
  first->close();
  EXPECT_TRUE(second->post("").ok());
}

TEST(Mailbox, a_blob_that_was_taken_stays_charged) {
  const auto memory = std::make_shared<HostMemory>(10'000);
  const auto box = std::make_shared<Mailbox<BlobRef>>(memory);
  ASSERT_TRUE(box->post(make_memory_blob(std::vector<uint8_t>(5'000))).ok());
  auto taken = box->receive()->take();
  ASSERT_TRUE(taken);
  EXPECT_GE(memory->used_bytes(), 5'000U);
  EXPECT_FALSE(box->post(make_memory_blob(std::vector<uint8_t>(5'000))).ok());
  taken = std::nullopt;
  EXPECT_EQ(memory->used_bytes(), 0U);
}

}  // namespace
}  // namespace pie::host
