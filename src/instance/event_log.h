#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ledger.h"
#include "base/result.h"
#include "base/utf8.h"
#include "instance/event.h"

namespace pie::instance {

/// Where a log outlives the process. Called under the log's lock, so one call at a time.
class LogStorage {
 public:
  /// An event on the disk: `payload_offset` is the storage's own.
  struct Record {
    uint64_t seq = 0;
    EventKind kind = EventKind::kStdout;
    EndCode end = EndCode::kCompleted;
    uint64_t payload_offset = 0;
    uint32_t payload_bytes = 0;
  };

  virtual ~LogStorage() = default;
  /// Appends an event so that it survives the death of this process. Returns its payload's offset.
  virtual Result<uint64_t> append(const Record& record, std::string_view payload) = 0;
  virtual Result<std::string> read(uint64_t payload_offset, uint32_t payload_bytes) = 0;
  /// Events up to `seq` need not be kept. The offsets of later ones stay valid.
  virtual void delivered(uint64_t seq) = 0;
};

/// The ordered log of everything one instance says, from the program's writes to the pong that
/// proves delivery. Nothing is dropped: when it is full, writable_bytes() is 0 and the program
/// waits. Thread-safe.
class EventLog {
 public:
  struct Limits {
    uint64_t undelivered_bytes_max = 64ULL << 20;  ///< above it the program's writes wait
    uint64_t memory_bytes_max = 1ULL << 20;        ///< payloads kept in memory; more is read back
    UserQuotasRef shared;  ///< its stored_logs counts what is undelivered; may be null
  };

  /// A new log. `storage` may be null: then it lives in memory alone.
  EventLog(const Limits& limits, std::unique_ptr<LogStorage> storage);
  /// A log that an earlier process wrote; `records` are those not yet delivered, in order.
  /// `is_end_delivered`: the final event was, too.
  EventLog(const Limits& limits, std::unique_ptr<LogStorage> storage,
           const std::vector<LogStorage::Record>& records, uint64_t last_seq,
           bool is_end_delivered = false);
  ~EventLog();
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  /// Bytes of stdout or stderr: characters that a write splits are held until whole.
  void write(EventKind stream, std::string_view bytes);
  /// A message or a blob.
  void append(EventKind kind, std::string payload);
  /// The final event, once; what the streams still held goes before it. Later events are ignored.
  /// Payloads that are stored leave the memory, if they are more than some KiB: finished instances
  /// may be many.
  void end(EndCode code, std::string message);

  bool ended() const;
  /// Whether it ended and everything in it was delivered.
  bool drained() const;
  /// Sequence number of the last event, 0 when there is none.
  uint64_t last_seq() const;
  /// Events up to this one are known to be delivered.
  uint64_t delivered_seq() const;
  uint64_t undelivered_bytes() const;
  /// Payloads that are kept in memory.
  uint64_t memory_bytes() const;

  /// The first event after `seq`, if it is there. An event whose bytes the disk lost is passed on
  /// as a kStderr text that says so.
  std::optional<Event> next(uint64_t seq) const;
  /// The last events whose payloads are together at most `bytes_max` (the last event always) come
  /// after this one: what next() begins with for them.
  uint64_t before_last(uint64_t bytes_max) const;
  /// The client has everything up to `seq`: it is forgotten, writers wake up.
  void delivered(uint64_t seq);

  /// Why the last event could not be stored; "" when it was.
  std::string storage_failure() const;

  uint64_t writable_bytes() const;
  /// Calls `wake` once, as soon as writable_bytes() is above 0 (at once, if it is).
  void on_writable(std::function<void()> wake);

 private:
  struct Entry {
    LogStorage::Record record;
    std::shared_ptr<const std::string> payload;  ///< null: read it from storage
    bool is_stored = false;
  };

  void append_locked(EventKind kind, EndCode code, std::string payload);
  void release_locked();
  uint64_t writable_locked() const;

  const Limits limits_;
  mutable std::mutex mutex_;
  std::unique_ptr<LogStorage> storage_;
  Utf8Stream stdout_, stderr_;
  std::deque<Entry> entries_;  ///< not yet delivered
  uint64_t last_seq_ = 0;
  uint64_t undelivered_bytes_ = 0;
  uint64_t memory_bytes_ = 0;
  bool ended_ = false;
  std::string storage_failure_;
  std::vector<std::function<void()>> writers_;
};

}  // namespace pie::instance
