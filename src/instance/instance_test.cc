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

 private:
  Disk& disk_;
};

std::vector<std::string> texts_after(const EventLog& log, uint64_t seq) {
  std::vector<std::string> texts;
  while (auto event = log.next(seq)) {
    texts.push_back(*event->payload);
    seq = event->seq;
  }
  return texts;
}

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
  EXPECT_EQ(texts_after(log, 0), (std::vector<std::string>{"12345678", "from the disk"}));
  disk.full = true;  // what cannot be stored is kept in memory
  log.append(EventKind::kMessage, "kept in memory");
  EXPECT_EQ(texts_after(log, 2), (std::vector<std::string>{"kept in memory"}));
}

TEST(EventLog, a_finished_one_gives_its_memory_back_and_can_still_be_read) {
  Disk disk;
  EventLog log({}, std::make_unique<DiskStorage>(disk));
  const std::string large(20'000, 'l');
  log.append(EventKind::kMessage, large);
  EXPECT_EQ(log.memory_bytes(), large.size());
  disk.full = true;
  log.append(EventKind::kMessage, "nowhere but in memory");
  log.end(EndCode::kCompleted, "end");
  EXPECT_EQ(log.memory_bytes(), 21u + 3u);
  EXPECT_EQ(texts_after(log, 0), (std::vector<std::string>{large, "nowhere but in memory", "end"}));
  log.delivered(3);
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

TEST(Bus, delivers_to_the_users_subscribers_of_the_topic_until_they_unsubscribe) {
  Bus bus;
  std::vector<std::string> got;
  const uint64_t token = bus.subscribe("u", "t", [&](const std::string& m) { got.push_back(m); });
  bus.broadcast("u", "t", "1");
  bus.broadcast("other", "t", "not theirs");
  bus.broadcast("u", "other", "not this topic");
  bus.unsubscribe(token);
  bus.broadcast("u", "t", "too late");
  bus.unsubscribe(token);
  EXPECT_EQ(got, (std::vector<std::string>{"1"}));
}

TEST(Bus, no_delivery_runs_once_unsubscribe_has_returned) {
  Bus bus;
  for (int i = 0; i < 200; ++i) {
    bool alive = true;
    bool late = false;
    const uint64_t token = bus.subscribe("u", "t", [&](const std::string&) { late |= !alive; });
    std::thread sender([&] {
      for (int n = 0; n < 20; ++n) bus.broadcast("u", "t", "m");
    });
    bus.unsubscribe(token);
    alive = false;
    sender.join();
    EXPECT_FALSE(late);
  }
}

}  // namespace
}  // namespace pie::instance
