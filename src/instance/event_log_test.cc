#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "instance/log_tail.h"
#include "instance/test_storage.h"

namespace pie::instance {
namespace {

using test::event_after;
using test::texts_after;

struct EventLogTest : testing::Test {
  /// A log over `stored`.
  std::shared_ptr<EventLog> make_log(const LogLimits& limits = {}) {
    return std::make_shared<EventLog>(limits, std::make_unique<test::TestStorage>(stored, disk));
  }
  /// The log that a later process finds there.
  std::shared_ptr<EventLog> find_log() {
    return std::make_shared<EventLog>(
        LogLimits{}, stored->found(std::make_unique<test::TestStorage>(stored, disk)));
  }

  test::Disk disk;
  std::shared_ptr<test::StoredBytes> stored = std::make_shared<test::StoredBytes>();
};

TEST_F(EventLogTest, keeps_streams_messages_blobs_and_the_end_in_one_order) {
  const auto shared = std::make_shared<EventLog>(LogLimits{}, nullptr);
  EventLog& log = *shared;
  log.write(EventKind::kStdout, "a");
  log.append(EventKind::kMessage, "b");
  log.write(EventKind::kStderr, "c");
  log.append(EventKind::kBlob, "d");
  log.end({EndKind::kCompleted, "e"});
  log.write(EventKind::kStdout, "after the end");
  EXPECT_EQ(texts_after(log, 0), (std::vector<std::string>{"a", "b", "c", "d", "e"}));
  EXPECT_EQ(log.next(4)->kind, EventKind::kEnd);
  EXPECT_FALSE(log.next(5));
}

TEST_F(EventLogTest, holds_a_split_character_until_it_is_whole_and_flushes_it_before_the_end) {
  const auto shared = std::make_shared<EventLog>(LogLimits{}, nullptr);
  EventLog& log = *shared;
  log.write(EventKind::kStdout, "x\xE2\x82");
  log.write(EventKind::kStderr, "between");
  log.write(EventKind::kStdout, "\xAC");
  log.write(EventKind::kStdout, "\xE2");
  log.end({EndKind::kCompleted, "end"});
  EXPECT_EQ(texts_after(log, 0),
            (std::vector<std::string>{"x", "between", "\xE2\x82\xAC", "\xEF\xBF\xBD", "end"}));
}

TEST_F(EventLogTest, a_full_log_makes_writers_wait_until_a_delivery_and_drops_nothing) {
  const auto shared =
      std::make_shared<EventLog>(LogLimits{.undelivered_bytes_max = 1'000}, nullptr);
  EventLog& log = *shared;
  while (log.writable_bytes() > 0) log.append(EventKind::kMessage, std::string(100, 'm'));
  const uint64_t last = log.last_seq();
  int woken = 0;
  log.on_writable([&] { ++woken; });
  EXPECT_EQ(woken, 0);
  EXPECT_EQ(texts_after(log, 0).size(), last);
  log.delivered(last);
  EXPECT_EQ(woken, 1);
  EXPECT_GT(log.writable_bytes(), 0u);
  log.on_writable([&] { ++woken; });  // at once now
  EXPECT_EQ(woken, 2);
}

TEST_F(EventLogTest, replays_what_was_not_delivered_and_is_drained_only_then) {
  const auto shared = std::make_shared<EventLog>(LogLimits{}, nullptr);
  EventLog& log = *shared;
  for (const char* text : {"1", "2", "3"}) log.append(EventKind::kMessage, text);
  log.delivered(1);
  EXPECT_EQ(log.delivered_seq(), 1u);
  EXPECT_EQ(texts_after(log, log.delivered_seq()), (std::vector<std::string>{"2", "3"}));
  log.end({EndKind::kAborted, "Signal termination"});
  log.delivered(3);
  EXPECT_FALSE(log.drained());
  log.delivered(4);
  EXPECT_TRUE(log.drained());
}

TEST_F(EventLogTest, reads_back_what_memory_does_not_hold) {
  const auto shared = make_log({.memory_bytes_max = 10});
  EventLog& log = *shared;
  log.append(EventKind::kMessage, "12345678");
  log.append(EventKind::kMessage, "from the disk");
  EXPECT_EQ(log.memory_bytes(), 8u);
  EXPECT_EQ(texts_after(log, 0), (std::vector<std::string>{"12345678", "from the disk"}));
  EXPECT_EQ(*event_after(log, 1)->payload, "from the disk");
}

TEST_F(EventLogTest, waits_for_no_disk_and_shows_what_is_stored) {
  disk.is_slow = true;
  const auto log = make_log({.unstored_bytes_max = 1'000});
  int changes = 0, ends = 0, woken = 0;
  log->listen([&] { ++changes; });
  while (log->writable_bytes() > 0) log->append(EventKind::kMessage, std::string(100, 'm'));
  log->on_writable([&] { ++woken; });
  EXPECT_EQ(disk.tasks.size(), 1u);
  EXPECT_FALSE(log->next(0));
  EXPECT_EQ(changes + woken, 0);
  disk.run_all();
  EXPECT_EQ(texts_after(*log, 0).size(), log->last_seq());
  EXPECT_EQ(woken, 1);
  EXPECT_GT(changes, 0);
  log->end({EndKind::kCompleted, "end"}, [&] { ++ends; });
  EXPECT_EQ(ends, 0);
  disk.run_all();
  EXPECT_EQ(ends, 1);
  EXPECT_EQ(log->next(log->last_seq() - 1)->kind, EventKind::kEnd);
}

TEST_F(EventLogTest, what_the_disk_refuses_waits_and_is_stored_without_a_gap_later) {
  const auto shared = make_log();
  EventLog& log = *shared;
  log.append(EventKind::kMessage, "1");
  stored->full = true;
  log.append(EventKind::kMessage, "2");
  log.append(EventKind::kMessage, "3");
  EXPECT_EQ(log.writable_bytes(), 0u);
  EXPECT_EQ(texts_after(log, 0), (std::vector<std::string>{"1"}));
  EXPECT_EQ(log.storage_failure()->error.message, "disk full");
  EXPECT_EQ(log.storage_failure()->attempts, 1u);
  log.retry();
  EXPECT_EQ(log.storage_failure()->attempts, 2u);
  int woken = 0;
  log.on_writable([&] { ++woken; });
  stored->full = false;
  log.retry();
  EXPECT_FALSE(log.storage_failure());
  EXPECT_EQ(woken, 1);
  log.end({EndKind::kCompleted, "end"});
  EXPECT_EQ(texts_after(log, 0), (std::vector<std::string>{"1", "2", "3", "end"}));
  // After a crash, too.
  EXPECT_EQ(texts_after(*find_log(), 0), (std::vector<std::string>{"1", "2", "3", "end"}));
}

TEST_F(EventLogTest, finds_events_by_their_numbers_where_some_are_missing) {
  stored->bytes = "abc";
  stored->records = {
      {.seq = 1, .kind = EventKind::kMessage, .payload_offset = 0, .payload_bytes = 1},
      {.seq = 3, .kind = EventKind::kMessage, .payload_offset = 1, .payload_bytes = 1},
      {.seq = 4, .kind = EventKind::kEnd, .payload_offset = 2, .payload_bytes = 1}};
  const auto shared = find_log();
  EventLog& log = *shared;
  EXPECT_EQ(texts_after(log, 0), (std::vector<std::string>{"a", "b", "c"}));
  log.delivered(2);
  EXPECT_EQ(log.delivered_seq(), 2u);
  EXPECT_EQ(texts_after(log, 2), (std::vector<std::string>{"b", "c"}));
}

TEST_F(EventLogTest, an_end_that_cannot_be_stored_is_told_all_the_same) {
  const auto shared = make_log();
  EventLog& log = *shared;
  log.append(EventKind::kMessage, "1");
  stored->full = true;
  log.append(EventKind::kMessage, "2");
  int ends = 0;
  log.end({EndKind::kServerError, "end"}, [&] { ++ends; });
  EXPECT_EQ(ends, 1);
  EXPECT_EQ(texts_after(log, 0), (std::vector<std::string>{"1", "2", "end"}));
  log.delivered(3);
  EXPECT_TRUE(log.drained());
}

TEST_F(EventLogTest, nothing_is_stored_once_it_is_discarded) {
  disk.is_slow = true;
  const auto log = make_log();
  std::vector<std::string> order;
  log->append(EventKind::kMessage, "under way");
  log->end({EndKind::kCompleted, "end"}, [&] { order.emplace_back("ended"); });
  log->discard([&] { order.emplace_back("discarded"); });
  EXPECT_TRUE(order.empty());
  disk.run_all();
  EXPECT_EQ(order, (std::vector<std::string>{"ended", "discarded"}));
  EXPECT_EQ(stored->records.size(), 1U);
}

TEST_F(EventLogTest, a_delivery_is_marked_before_the_log_is_gone_however_busy_the_disk_is) {
  disk.is_slow = true;
  const auto log = make_log();
  log->append(EventKind::kMessage, "1");
  log->end({EndKind::kCompleted, "2"});
  disk.run_all();
  log->delivered(1);  // is being marked while the rest comes
  log->delivered(2);
  bool is_marked = false;
  log->discard([&] { is_marked = stored->delivered == 2; });
  disk.run_all();
  EXPECT_TRUE(is_marked);
}

TEST_F(EventLogTest, who_waits_for_the_disk_is_called_when_the_log_is_discarded) {
  stored->bytes = "a";
  stored->records = {{.seq = 1, .kind = EventKind::kMessage, .payload_bytes = 1}};
  disk.is_slow = true;
  const auto log = find_log();
  std::string tail;
  collect_tail(log, 100, TailForm::kText, [&](std::string text) { tail = text + "."; });
  EXPECT_EQ(tail, "");
  log->discard([] {});
  disk.run_all();
  EXPECT_EQ(tail, "a\n.");
  EXPECT_FALSE(log->fetch(0, [] {}));
}

TEST_F(EventLogTest, a_tail_is_collected_from_memory_and_the_disk) {
  const auto log = make_log({.memory_bytes_max = 10});
  log->write(EventKind::kStdout, "12345678");
  log->append(EventKind::kMessage, "from the disk");
  log->append(EventKind::kBlob, "blob");
  log->end({EndKind::kCompleted, "result"});
  disk.is_slow = true;
  std::vector<std::string> tails;
  const auto keep = [&](std::string text) { tails.push_back(std::move(text)); };
  collect_tail(log, 1'000, TailForm::kText, keep);
  EXPECT_TRUE(tails.empty());
  disk.run_all();
  collect_tail(log, 10, TailForm::kJson, keep);
  disk.run_all();
  EXPECT_EQ(tails,
            (std::vector<std::string>{
                "12345678from the disk\n[a blob of 4 bytes]\nCompleted: result\n",
                R"([{"event": "Blob", "bytes": 4}, {"event": "Completed", "text": "result"}])"}));
}

TEST_F(EventLogTest, a_finished_one_gives_its_memory_back_and_can_still_be_read) {
  const auto shared = make_log();
  EventLog& log = *shared;
  const std::string large(20'000, 'l');
  log.append(EventKind::kMessage, large);
  EXPECT_EQ(log.memory_bytes(), large.size());
  log.end({EndKind::kCompleted, "end"});
  EXPECT_EQ(log.memory_bytes(), 0u);
  EXPECT_EQ(texts_after(log, 0), (std::vector<std::string>{large, "end"}));
  log.release();
  EXPECT_EQ(log.memory_bytes(), 0u);
  EXPECT_EQ(texts_after(log, 0), (std::vector<std::string>{large, "end"}));
  log.delivered(2);
  EXPECT_EQ(log.memory_bytes(), 0u);
}

TEST_F(EventLogTest, of_an_earlier_process_goes_on_where_it_was) {
  {
    const auto log = make_log();
    log->append(EventKind::kMessage, "old 1");
    log->append(EventKind::kMessage, "old 2");
    log->delivered(1);
  }
  EXPECT_EQ(stored->delivered, 1u);
  const auto log = find_log();
  log->end({EndKind::kServerError, "server restarted"});
  EXPECT_EQ(texts_after(*log, 0), (std::vector<std::string>{"old 2", "server restarted"}));
}

}  // namespace
}  // namespace pie::instance
