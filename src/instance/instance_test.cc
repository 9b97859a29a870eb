#include <gtest/gtest.h>

#include <map>
#include <string>
#include <thread>
#include <vector>

#include "instance/bus.h"
#include "instance/event_log.h"
#include "instance/life_cycle.h"

namespace pie::instance {
namespace {

/// Storage in memory that outlives its log, as a file outlives a process.
struct Disk {
  std::string bytes;
  std::vector<LogStorage::Record> records;
  uint64_t delivered = 0;
  bool full = false;
};

class DiskStorage final : public LogStorage {
 public:
  explicit DiskStorage(Disk& disk) : disk_(disk) {}
  Result<uint64_t> append(const Record& record, std::string_view payload) override {
    if (disk_.full) return Error{ErrorCode::kResourceExhausted, "disk full"};
    Record kept = record;
    kept.payload_offset = disk_.bytes.size();
    disk_.bytes.append(payload);
    disk_.records.push_back(kept);
    return kept.payload_offset;
  }
  Result<std::string> read(uint64_t offset, uint32_t bytes) override {
    return disk_.bytes.substr(offset, bytes);
  }
  void delivered(uint64_t seq) override { disk_.delivered = seq; }
  void rest() override {}

 private:
  Disk& disk_;
};

std::vector<std::string> texts_after(EventLog& log, uint64_t seq) {
  std::vector<std::string> texts;
  for (;;) {
    auto event = log.next(seq);
    if (!event && log.fetch(seq, [] {})) event = log.next(seq);
    if (!event) return texts;
    texts.push_back(*event->payload);
    seq = event->seq;
  }
}

/// Runs the storage's tasks when told to, as a disk that is slow.
struct SlowDisk {
  EventLog::Post post() {
    return [this](std::function<void()> task) { tasks.push_back(std::move(task)); };
  }
  void run_all() {
    while (!tasks.empty()) {
      auto task = std::move(tasks.front());
      tasks.erase(tasks.begin());
      task();
    }
  }
  std::vector<std::function<void()>> tasks;
};

TEST(EventLog, keeps_streams_messages_blobs_and_the_end_in_one_order) {
  EventLog log({}, nullptr);
  log.write(EventKind::kStdout, "a");
  log.append(EventKind::kMessage, "b");
  log.write(EventKind::kStderr, "c");
  log.append(EventKind::kBlob, "d");
  log.end(EndCode::kCompleted, "e");
  log.write(EventKind::kStdout, "after the end");
  EXPECT_EQ(texts_after(log, 0), (std::vector<std::string>{"a", "b", "c", "d", "e"}));
  EXPECT_EQ(log.next(4)->kind, EventKind::kEnd);
  EXPECT_FALSE(log.next(5));
}

TEST(EventLog, holds_a_split_character_until_it_is_whole_and_flushes_it_before_the_end) {
  EventLog log({}, nullptr);
  log.write(EventKind::kStdout, "x\xE2\x82");
  log.write(EventKind::kStderr, "between");
  log.write(EventKind::kStdout, "\xAC");
  log.write(EventKind::kStdout, "\xE2");
  log.end(EndCode::kCompleted, "end");
  EXPECT_EQ(texts_after(log, 0),
            (std::vector<std::string>{"x", "between", "\xE2\x82\xAC", "\xEF\xBF\xBD", "end"}));
}

TEST(EventLog, a_full_log_makes_writers_wait_until_a_delivery_and_drops_nothing) {
  EventLog log({.undelivered_bytes_max = 1'000}, nullptr);
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

TEST(EventLog, replays_what_was_not_delivered_and_is_drained_only_then) {
  EventLog log({}, nullptr);
  for (const char* text : {"1", "2", "3"}) log.append(EventKind::kMessage, text);
  log.delivered(1);
  EXPECT_EQ(log.delivered_seq(), 1u);
  EXPECT_EQ(texts_after(log, log.delivered_seq()), (std::vector<std::string>{"2", "3"}));
  log.end(EndCode::kAborted, "Signal termination");
  log.delivered(3);
  EXPECT_FALSE(log.drained());
  log.delivered(4);
  EXPECT_TRUE(log.drained());
}

TEST(EventLog, reads_back_what_memory_does_not_hold) {
  Disk disk;
  EventLog log({.memory_bytes_max = 10}, std::make_unique<DiskStorage>(disk));
  log.append(EventKind::kMessage, "12345678");
  log.append(EventKind::kMessage, "from the disk");
  EXPECT_EQ(log.memory_bytes(), 8u);
  EXPECT_EQ(texts_after(log, 0), (std::vector<std::string>{"12345678", "from the disk"}));
  EXPECT_EQ(*log.read(1)->payload, "from the disk");
}

TEST(EventLog, waits_for_no_disk_and_shows_what_is_stored) {
  Disk disk;
  SlowDisk slow;
  const auto log =
      std::make_shared<EventLog>(EventLog::Limits{.unstored_bytes_max = 1'000, .shared = nullptr},
                                 std::make_unique<DiskStorage>(disk), slow.post());
  int changes = 0, ends = 0, woken = 0;
  log->listen([&] { ++changes; });
  while (log->writable_bytes() > 0) log->append(EventKind::kMessage, std::string(100, 'm'));
  log->on_writable([&] { ++woken; });
  EXPECT_EQ(slow.tasks.size(), 1u);
  EXPECT_FALSE(log->next(0));
  EXPECT_EQ(changes + woken, 0);
  slow.run_all();
  EXPECT_EQ(texts_after(*log, 0).size(), log->last_seq());
  EXPECT_EQ(woken, 1);
  EXPECT_GT(changes, 0);
  log->end(EndCode::kCompleted, "end", [&] { ++ends; });
  EXPECT_EQ(ends, 0);
  slow.run_all();
  EXPECT_EQ(ends, 1);
  EXPECT_EQ(log->next(log->last_seq() - 1)->kind, EventKind::kEnd);
}

TEST(EventLog, what_the_disk_refuses_waits_and_is_stored_without_a_gap_later) {
  Disk disk;
  EventLog log({}, std::make_unique<DiskStorage>(disk));
  log.append(EventKind::kMessage, "1");
  disk.full = true;
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
  disk.full = false;
  log.retry();
  EXPECT_FALSE(log.storage_failure());
  EXPECT_EQ(woken, 1);
  log.end(EndCode::kCompleted, "end");
  EXPECT_EQ(texts_after(log, 0), (std::vector<std::string>{"1", "2", "3", "end"}));
  // After a crash, too.
  EventLog again({}, std::make_unique<DiskStorage>(disk), disk.records, 4);
  EXPECT_EQ(texts_after(again, 0), (std::vector<std::string>{"1", "2", "3", "end"}));
}

TEST(EventLog, finds_events_by_their_numbers_where_some_are_missing) {
  Disk disk;
  disk.bytes = "abc";
  const std::vector<LogStorage::Record> records = {
      {.seq = 1, .kind = EventKind::kMessage, .payload_offset = 0, .payload_bytes = 1},
      {.seq = 3, .kind = EventKind::kMessage, .payload_offset = 1, .payload_bytes = 1},
      {.seq = 4, .kind = EventKind::kEnd, .payload_offset = 2, .payload_bytes = 1}};
  EventLog log({}, std::make_unique<DiskStorage>(disk), records, 4);
  EXPECT_EQ(texts_after(log, 0), (std::vector<std::string>{"a", "b", "c"}));
  log.delivered(2);
  EXPECT_EQ(log.delivered_seq(), 2u);
  EXPECT_EQ(texts_after(log, 2), (std::vector<std::string>{"b", "c"}));
}

TEST(EventLog, an_end_that_cannot_be_stored_is_told_all_the_same) {
  Disk disk;
  EventLog log({}, std::make_unique<DiskStorage>(disk));
  log.append(EventKind::kMessage, "1");
  disk.full = true;
  log.append(EventKind::kMessage, "2");
  int ends = 0;
  log.end(EndCode::kServerError, "end", [&] { ++ends; });
  EXPECT_EQ(ends, 1);
  EXPECT_EQ(texts_after(log, 0), (std::vector<std::string>{"1", "2", "end"}));
  log.delivered(3);
  EXPECT_TRUE(log.drained());
}

TEST(EventLog, nothing_is_stored_once_it_is_discarded) {
  Disk disk;
  SlowDisk slow;
  const auto log = std::make_shared<EventLog>(EventLog::Limits{},
                                              std::make_unique<DiskStorage>(disk), slow.post());
  std::vector<std::string> order;
  log->end(EndCode::kCompleted, "end", [&] { order.emplace_back("ended"); });
  log->discard([&] { order.emplace_back("discarded"); });
  slow.run_all();
  EXPECT_EQ(order, (std::vector<std::string>{"ended", "discarded"}));
  EXPECT_TRUE(disk.records.empty());
}

TEST(EventLog, a_finished_one_gives_its_memory_back_and_can_still_be_read) {
  Disk disk;
  EventLog log({}, std::make_unique<DiskStorage>(disk));
  const std::string large(20'000, 'l');
  log.append(EventKind::kMessage, large);
  EXPECT_EQ(log.memory_bytes(), large.size());
  log.end(EndCode::kCompleted, "end");
  EXPECT_EQ(log.memory_bytes(), 0u);
  EXPECT_EQ(texts_after(log, 0), (std::vector<std::string>{large, "end"}));
  log.release();
  EXPECT_EQ(log.memory_bytes(), 0u);
  EXPECT_EQ(texts_after(log, 0), (std::vector<std::string>{large, "end"}));
  log.delivered(2);
  EXPECT_EQ(log.memory_bytes(), 0u);
}

TEST(EventLog, of_an_earlier_process_goes_on_where_it_was) {
  Disk disk;
  {
    EventLog log({}, std::make_unique<DiskStorage>(disk));
    log.append(EventKind::kMessage, "old 1");
    log.append(EventKind::kMessage, "old 2");
    log.delivered(1);
  }
  EXPECT_EQ(disk.delivered, 1u);
  const std::vector<LogStorage::Record> undelivered(disk.records.begin() + 1, disk.records.end());
  EventLog log({}, std::make_unique<DiskStorage>(disk), undelivered, 2);
  log.end(EndCode::kServerError, "server restarted");
  EXPECT_EQ(texts_after(log, 0), (std::vector<std::string>{"old 2", "server restarted"}));
}

TEST(LifeCycle, an_attached_launch_is_aborted_after_the_grace_time_without_its_client) {
  LifeCycle life(LaunchMode::kAttached, {.grace_ns = 100, .finished_kept_ns = 1'000});
  EXPECT_EQ(life.status(), Status::kAttached);
  EXPECT_EQ(life.due(5'000), LifeCycle::Due::kNothing);
  life.client_lost(5'000);
  EXPECT_EQ(life.status(), Status::kDetached);
  EXPECT_EQ(life.due(5'099), LifeCycle::Due::kNothing);
  EXPECT_EQ(life.due(5'100), LifeCycle::Due::kAbort);
  life.client_attached();
  EXPECT_EQ(life.due(9'000), LifeCycle::Due::kNothing);
}

TEST(LifeCycle, a_detached_one_runs_alone_and_its_end_is_kept_for_its_time) {
  LifeCycle life(LaunchMode::kDetached, {.grace_ns = 100, .finished_kept_ns = 1'000});
  EXPECT_EQ(life.status(), Status::kDetached);
  EXPECT_EQ(life.due(50'000), LifeCycle::Due::kNothing);
  life.ended(50'000);
  EXPECT_EQ(life.status(), Status::kFinished);
  EXPECT_EQ(life.due(50'999), LifeCycle::Due::kNothing);
  EXPECT_EQ(life.due(51'000), LifeCycle::Due::kRemove);
}

TEST(LifeCycle, an_end_whose_client_died_while_it_was_sent_is_kept) {
  LifeCycle life(LaunchMode::kAttached, {.grace_ns = 100, .finished_kept_ns = 1'000});
  life.ended(1'000);
  EXPECT_EQ(life.due(90'000), LifeCycle::Due::kNothing);
  life.client_lost(2'000);
  EXPECT_EQ(life.due(2'999), LifeCycle::Due::kNothing);
  EXPECT_EQ(life.due(3'000), LifeCycle::Due::kRemove);
}

Bus::Message shared(std::string text) {
  return std::make_shared<const std::string>(std::move(text));
}

TEST(Bus, a_topic_has_so_many_subscribers_as_one_broadcast_reaches) {
  Bus bus;
  size_t delivered = 0;
  const auto count = [&](const Bus::Message&) { ++delivered; };
  uint64_t last = 0;
  for (size_t i = 0; i < Bus::kSubscribersMax; ++i) last = *bus.subscribe("u", "t", count);
  const auto refused = bus.subscribe("u", "t", count);
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(refused.error().message, "subscribers of one topic: used 8192, allowed 8192");
  bus.broadcast("u", "t", shared("1"));
  EXPECT_EQ(delivered, Bus::kSubscribersMax);
  bus.unsubscribe(last);
  EXPECT_TRUE(bus.subscribe("u", "t", count).ok());
}

TEST(Bus, delivers_to_the_users_subscribers_of_the_topic_until_they_unsubscribe) {
  Bus bus;
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

TEST(Bus, no_delivery_runs_once_unsubscribe_has_returned) {
  Bus bus;
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
