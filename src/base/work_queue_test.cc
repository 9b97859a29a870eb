#include "base/work_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace pie {
namespace {

using Next = WorkQueue::Next;

/// Holds a queue's only thread until open() is called.
class Gate {
 public:
  void wait() { opened_.wait(); }
  void open() { promise_.set_value(); }

 private:
  std::promise<void> promise_;
  std::shared_future<void> opened_ = promise_.get_future().share();
};

void post_ok(WorkQueue& queue, const std::string& owner, std::function<void()> job) {
  ASSERT_TRUE(queue.post_once(owner, std::move(job)).ok());
}

TEST(WorkQueueTest, jobs_of_one_owner_are_done_in_order_pieces_included) {
  std::vector<int> seen;
  Gate gate;
  WorkQueue queue({.name = "test"});
  post_ok(queue, "ann", [&] { gate.wait(); });
  int pieces = 0;
  ASSERT_TRUE(queue
                  .post("ann",
                        [&] {
                          seen.push_back(1);
                          return ++pieces < 3 ? Next::kAgain : Next::kDone;
                        })
                  .ok());
  post_ok(queue, "ann", [&] { seen.push_back(2); });
  gate.open();
  queue.stop(WorkQueue::Rest::kFinish);
  EXPECT_EQ(seen, (std::vector<int>{1, 1, 1, 2}));
}

TEST(WorkQueueTest, who_comes_later_waits_for_one_piece_of_a_long_job_not_for_all) {
  std::atomic<int> pieces = 0;
  std::atomic<bool> stop = false;
  WorkQueue queue({.name = "test"});
  ASSERT_TRUE(queue
                  .post("ann",
                        [&] {
                          ++pieces;
                          return stop ? Next::kDone : Next::kAgain;
                        })
                  .ok());
  std::promise<void> done;
  post_ok(queue, "bob", [&] { done.set_value(); });
  EXPECT_EQ(done.get_future().wait_for(std::chrono::seconds(20)), std::future_status::ready);
  stop = true;
  queue.stop(WorkQueue::Rest::kFinish);
  EXPECT_GT(pieces, 0);
}

TEST(WorkQueueTest, a_hundred_jobs_of_one_owner_do_not_delay_the_job_of_another) {
  std::vector<std::string> seen;
  Gate gate;
  WorkQueue queue({.name = "test"});
  post_ok(queue, "ann", [&] { gate.wait(); });
  for (int i = 0; i < 100; ++i) post_ok(queue, "ann", [&] { seen.push_back("ann"); });
  post_ok(queue, "bob", [&] { seen.push_back("bob"); });
  gate.open();
  queue.stop(WorkQueue::Rest::kFinish);
  ASSERT_EQ(seen.size(), 101U);
  EXPECT_EQ(seen[0], "bob");  // ann has had the time of the gate
}

TEST(WorkQueueTest, one_owner_never_has_all_threads) {
  Gate gate;
  WorkQueue queue({.name = "test", .thread_count = 2});
  post_ok(queue, "ann", [&] { gate.wait(); });
  post_ok(queue, "ann", [&] { gate.wait(); });
  std::promise<void> done;
  post_ok(queue, "bob", [&] { done.set_value(); });
  EXPECT_EQ(done.get_future().wait_for(std::chrono::seconds(20)), std::future_status::ready);
  gate.open();
  queue.stop(WorkQueue::Rest::kFinish);
}

TEST(WorkQueueTest, lines_are_bounded_for_each_owner_and_in_all) {
  Gate gate;
  std::promise<void> begun;
  WorkQueue queue({.name = "compile", .owner_pending_max = 2, .pending_max = 3});
  post_ok(queue, "ann", [&] {
    begun.set_value();
    gate.wait();
  });
  begun.get_future().wait();
  post_ok(queue, "ann", [] {});
  post_ok(queue, "ann", [] {});
  const auto refused = queue.post_once("ann", [] {});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(refused.error().message,
            "[compile] got 2 jobs of this user that wait, expected fewer; try again when some are "
            "done");
  post_ok(queue, "bob", [] {});
  const auto full = queue.post_once("cy", [] {});
  ASSERT_FALSE(full.ok());
  EXPECT_NE(full.error().message.find("3 jobs of all users"), std::string::npos);
  EXPECT_EQ(queue.pending(), 4U);
  gate.open();
  queue.stop(WorkQueue::Rest::kFinish);
}

TEST(WorkQueueTest, a_cancelled_job_does_not_begin_and_is_let_go_of) {
  Gate gate;
  WorkQueue queue({.name = "test"});
  post_ok(queue, "ann", [&] { gate.wait(); });
  auto held = std::make_shared<int>(1);
  bool ran = false;
  auto ticket = queue.post_once("ann", [&ran, held] { ran = true; });
  ASSERT_TRUE(ticket.ok());
  ticket->cancel();
  gate.open();
  queue.stop(WorkQueue::Rest::kFinish);
  EXPECT_FALSE(ran);
  EXPECT_EQ(held.use_count(), 1);
}

TEST(WorkQueueTest, processor_time_is_counted_for_who_asked) {
  auto cpu = std::make_shared<Quota>("CPU time", "ns", 0);
  volatile uint64_t sum = 0;
  WorkQueue queue({.name = "test"});
  ASSERT_TRUE(queue
                  .post_once(
                      "ann",
                      [&] {
                        for (uint64_t i = 0; i < 2'000'000; ++i) sum = sum + i;
                      },
                      cpu)
                  .ok());
  queue.stop(WorkQueue::Rest::kFinish);
  EXPECT_GT(cpu->used(), 100'000U);
}

// The one who posted may still be in post() when the job is done; ThreadSanitizer is the judge.
TEST(WorkQueueTest, a_queue_may_go_as_soon_as_its_last_job_is_done) {
  for (int round = 0; round < 50; ++round) {
    std::promise<void> done;
    auto queue = std::make_unique<WorkQueue>(WorkQueue::Config{.name = "test"});
    std::thread poster(
        [&queue = *queue, &done] { post_ok(queue, "ann", [&done] { done.set_value(); }); });
    done.get_future().wait();
    queue = nullptr;
    poster.join();
  }
}

TEST(WorkQueueTest, a_job_that_throws_ends_alone_and_after_stop_nothing_is_taken) {
  bool ran = false;
  WorkQueue queue({.name = "test"});
  post_ok(queue, "ann", [] { throw std::runtime_error("broken"); });
  post_ok(queue, "ann", [&] { ran = true; });
  queue.stop(WorkQueue::Rest::kFinish);
  EXPECT_TRUE(ran);
  EXPECT_EQ(queue.post_once("ann", [] {}).error().code, ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace pie
