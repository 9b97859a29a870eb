#include "host/mailbox.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace pie::host {
namespace {

using Messages = Mailbox<std::string>;

TEST(Mailbox, messages_come_first_in_first_out) {
  auto box = std::make_shared<Messages>();
  for (const char* text : {"a", "b", "c"}) box->post(text);
  for (const char* text : {"a", "b", "c"}) {
    auto receiver = box->receive();
    EXPECT_TRUE(receiver->event()->ready());
    EXPECT_EQ(receiver->take(), text);
  }
  EXPECT_EQ(box->receive()->take(), std::nullopt);
}

TEST(Mailbox, outstanding_receivers_are_served_in_order) {
  auto box = std::make_shared<Messages>();
  auto first = box->receive(), second = box->receive();
  box->post("a");
  EXPECT_TRUE(first->event()->ready());
  EXPECT_FALSE(second->event()->ready());
  EXPECT_EQ(second->take(), std::nullopt);
  box->post("b");
  EXPECT_TRUE(second->event()->ready());
  EXPECT_EQ(second->take(), "b");
  EXPECT_EQ(first->take(), "a");
}

TEST(Mailbox, dropped_receiver_swallows_nothing) {
  auto box = std::make_shared<Messages>();
  auto dropped = box->receive(), next = box->receive();
  box->post("a");
  EXPECT_FALSE(next->event()->ready());
  dropped = nullptr;  // unread, though it was ready
  EXPECT_TRUE(next->event()->ready());
  EXPECT_EQ(next->take(), "a");

  dropped = box->receive();  // dropped before anything came
  dropped = nullptr;
  box->post("b");
  EXPECT_EQ(box->receive()->take(), "b");
}

TEST(Mailbox, dropping_the_first_of_two_ready_ones_keeps_the_order) {
  auto box = std::make_shared<Messages>();
  auto first = box->receive(), second = box->receive();
  box->post("a");
  box->post("b");
  first = nullptr;
  EXPECT_EQ(second->take(), "a");
  EXPECT_EQ(box->receive()->take(), "b");
}

TEST(Mailbox, message_is_taken_once) {
  auto box = std::make_shared<Messages>();
  auto receiver = box->receive();
  box->post("a");
  box->post("b");
  EXPECT_EQ(receiver->take(), "a");
  EXPECT_EQ(receiver->take(), std::nullopt);
  EXPECT_EQ(box->receive()->take(), "b");
}

TEST(Mailbox, wakes_who_waits) {
  auto box = std::make_shared<Messages>();
  auto receiver = box->receive();
  int woken = 0;
  receiver->event()->add_waiter([&] { ++woken; });
  box->post("a");
  EXPECT_EQ(woken, 1);
}

TEST(Mailbox, bytes_are_those_not_taken) {
  auto box = std::make_shared<Messages>();
  box->post("four");
  box->post("sixsix");
  EXPECT_EQ(box->bytes(), 10U);
  box->receive()->take();
  EXPECT_EQ(box->bytes(), 6U);
}

TEST(Mailbox, receiver_may_outlive_the_mailbox_of_its_instance) {
  auto box = std::make_shared<Messages>();
  auto receiver = box->receive();
  box->post("a");
  box = nullptr;
  EXPECT_EQ(receiver->take(), "a");
}

}  // namespace
}  // namespace pie::host
