#include "net/receive_budget.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace pie::net {
namespace {

/// A connection that receives a message of `size` bytes in pieces of 10.
struct Receiver {
  Receiver(ReceiveBudget& budget, const std::string& user)
      : claim(budget.claim(user, [this] { ++wakes; })) {}
  int wakes = 0;
  std::unique_ptr<ReceiveBudget::Claim> claim;
};

TEST(ReceiveBudget, a_user_beyond_its_share_waits_and_others_do_not) {
  ReceiveBudget budget(100, 0);
  Receiver first(budget, "ann"), second(budget, "ann"), third(budget, "ann"), other(budget, "bob");
  EXPECT_TRUE(first.claim->grow(60));
  EXPECT_TRUE(second.claim->grow(60));  // the one that may exceed it
  EXPECT_FALSE(third.claim->grow(10));
  EXPECT_FALSE(first.claim->grow(10));
  EXPECT_TRUE(second.claim->grow(10));
  EXPECT_TRUE(other.claim->grow(100));
  second.claim->release();
  EXPECT_EQ(third.wakes, 1);
  EXPECT_TRUE(third.claim->grow(10));
  EXPECT_EQ(first.wakes, 1);  // there was room for it, too
  EXPECT_TRUE(first.claim->grow(10));
}

TEST(ReceiveBudget, the_sum_over_users_is_bounded) {
  ReceiveBudget budget(100, 150);
  Receiver ann(budget, "ann"), bob(budget, "bob"), eve(budget, "eve"), internal(budget, "");
  EXPECT_TRUE(ann.claim->grow(90));
  EXPECT_TRUE(bob.claim->grow(90));  // exceeds
  EXPECT_FALSE(eve.claim->grow(1));
  EXPECT_FALSE(internal.claim->grow(1));
  EXPECT_EQ(budget.held_bytes(), 180U);
  bob.claim = nullptr;
  EXPECT_EQ(eve.wakes, 1);
  EXPECT_TRUE(eve.claim->grow(1));
  EXPECT_EQ(internal.wakes, 1);
  EXPECT_TRUE(internal.claim->grow(1));
}

TEST(ReceiveBudget, one_that_waited_and_goes_leaves_its_turn_to_the_next) {
  ReceiveBudget budget(10, 0);
  Receiver holder(budget, "ann"), gone(budget, "ann"), next(budget, "ann");
  EXPECT_TRUE(holder.claim->grow(20));
  EXPECT_FALSE(gone.claim->grow(10));
  EXPECT_FALSE(next.claim->grow(10));
  holder.claim->release();
  EXPECT_EQ(gone.wakes, 1);
  EXPECT_EQ(next.wakes, 0);
  gone.claim = nullptr;
  EXPECT_EQ(next.wakes, 1);
  EXPECT_TRUE(next.claim->grow(10));
}

TEST(ReceiveBudget, messages_that_all_hold_a_part_become_whole_one_after_the_other) {
  constexpr int kCount = 50, kPieces = 100;
  ReceiveBudget budget(1'000, 2'000);
  std::vector<std::unique_ptr<Receiver>> all;
  std::vector<int> pieces(kCount, 0);
  for (int i = 0; i < kCount; ++i)
    all.push_back(std::make_unique<Receiver>(budget, i % 2 == 0 ? "ann" : "bob"));
  int whole = 0;
  uint64_t most = 0;
  for (bool moved = true; moved;) {
    moved = false;
    for (int i = 0; i < kCount; ++i) {
      if (pieces[i] == kPieces || !all[i]->claim->grow(10)) continue;
      moved = true;
      most = std::max(most, budget.held_bytes());
      if (++pieces[i] < kPieces) continue;
      all[i]->claim->release();
      ++whole;
    }
  }
  EXPECT_EQ(whole, kCount);
  EXPECT_EQ(budget.held_bytes(), 0U);
  EXPECT_LE(most, 2'000U + 2 * 1'000U);
}

}  // namespace
}  // namespace pie::net
