#pragma once
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "instance/event_log.h"
#include "ports/log_storage.h"
#include "store/instance_records.h"

namespace pie::instance::test {

/// What a file of a log holds: it outlives the log.
struct StoredBytes {
  std::string bytes;
  std::vector<EventRecord> records;
  uint64_t delivered = 0;
  bool full = false;

  LogWorkDone perform(const LogWork& work) {
    LogWorkDone done;
    for (const auto& one : work.append) {
      if (full) {
        done.append_failed = Error{ErrorCode::kResourceExhausted, "disk full"};
        break;
      }
      done.offsets.push_back(bytes.size());
      records.push_back(one.record);
      records.back().payload_offset = bytes.size();
      bytes += *one.payload;
    }
    if (work.delivered) delivered = *work.delivered;
    for (const EventRecord& one : work.read)
      done.read.emplace_back(bytes.substr(one.payload_offset, one.payload_bytes));
    return done;
  }
  /// What a later process finds.
  store::StoredLog found(std::unique_ptr<LogStorage> storage) const {
    store::StoredLog log{.storage = std::move(storage)};
    for (const EventRecord& one : records) {
      log.last_seq = one.seq;
      if (one.seq > delivered) log.records.push_back(one);
      if (one.kind == EventKind::kEnd && one.seq <= delivered) log.is_end_delivered = true;
    }
    return log;
  }
};

/// When a storage does its work: at once, or when the test says so, as a disk that is slow.
class Disk {
 public:
  void post(std::function<void()> task) {
    if (!is_slow) return task();
    tasks.push_back(std::move(task));
  }
  void run_all() {
    while (!tasks.empty()) {
      const auto task = std::move(tasks.front());
      tasks.erase(tasks.begin());
      task();
    }
  }
  bool is_slow = false;
  std::vector<std::function<void()>> tasks;
};

class TestStorage final : public LogStorage {
 public:
  TestStorage(std::shared_ptr<StoredBytes> stored, Disk& disk)
      : stored_(std::move(stored)), disk_(disk) {}
  void perform(LogWork work, std::function<void(LogWorkDone)> done) override {
    disk_.post([stored = stored_, work = std::move(work), done = std::move(done)] {
      done(stored->perform(work));
    });
  }

 private:
  const std::shared_ptr<StoredBytes> stored_;
  Disk& disk_;
};

/// The first event after `seq`; waits until it is brought back from the disk, where it has to be.
inline std::optional<Event> event_after(EventLog& log, uint64_t seq) {
  if (auto event = log.next(seq)) return event;
  std::promise<void> ready;
  if (!log.fetch(seq, [&] { ready.set_value(); })) return std::nullopt;
  ready.get_future().wait();
  return log.next(seq);
}

inline std::vector<std::string> texts_after(EventLog& log, uint64_t seq) {
  std::vector<std::string> texts;
  while (const auto event = event_after(log, seq)) {
    texts.push_back(*event->payload);
    seq = event->seq;
  }
  return texts;
}

}  // namespace pie::instance::test
