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
#include "instance/log_storage.h"

namespace pie::instance {

/// The ordered log of everything one instance says, from the program's writes to the pong that
/// proves delivery. Nothing is dropped: when it is full, or the disk does not follow,
/// writable_bytes() is 0 and the program waits. No call waits for the disk, except read(): what the
/// storage does is done by tasks. An event is shown by next() once it is stored. Thread-safe.
class EventLog : public std::enable_shared_from_this<EventLog> {
 public:
  /// Runs a task on a thread that may wait for a disk. At most one of a log is under way.
  using Post = std::function<void(std::function<void()>)>;

  struct Limits {
    uint64_t undelivered_bytes_max = 64ULL << 20;  ///< above it the program's writes wait
    uint64_t unstored_bytes_max = 4ULL << 20;      ///< said and not yet stored: the same
    uint64_t memory_bytes_max = 1ULL << 20;        ///< payloads kept in memory; more is read back
    UserQuotasRef shared;  ///< its stored_logs counts what is undelivered; may be null
  };

  /// A new log. `storage` may be null: then it lives in memory alone. With `post` the log is owned
  /// by a shared pointer; null: the caller does the storage's work.
  EventLog(const Limits& limits, std::unique_ptr<LogStorage> storage, Post post = nullptr);
  /// A log that an earlier process wrote; `records` are those not yet delivered, in order.
  /// `is_end_delivered`: the final event was, too.
  EventLog(const Limits& limits, std::unique_ptr<LogStorage> storage,
           const std::vector<LogStorage::Record>& records, uint64_t last_seq,
           bool is_end_delivered = false, Post post = nullptr);
  ~EventLog();
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  /// `changed` is called, from any thread and without a lock, when next() may have something new
  /// and when the storage has failed. To be set before anything is said.
  void listen(std::function<void()> changed);

  /// Bytes of stdout or stderr: characters that a write splits are held until whole.
  void write(EventKind stream, std::string_view bytes);
  /// A message or a blob.
  void append(EventKind kind, std::string payload);
  /// The final event, once; what the streams still held goes before it. Later events are ignored.
  /// Payloads that are stored leave the memory, if they are more than some KiB: finished instances
  /// may be many. `done` follows when it is stored, or could not be.
  void end(EndCode code, std::string message, std::function<void()> done = nullptr);

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

  /// The first event after `seq`, if it is there, stored and in memory.
  std::optional<Event> next(uint64_t seq) const;
  /// Where next() says nothing because the event is on the disk alone: has it brought back, and
  /// `ready` called then. False when that is not why.
  bool fetch(uint64_t seq, std::function<void()> ready);
  /// As next(), and reads from the disk what is not in memory: waits for it.
  std::optional<Event> read(uint64_t seq) const;
  /// The last events whose payloads are together at most `bytes_max` (the last event always) come
  /// after this one: what next() begins with for them.
  uint64_t before_last(uint64_t bytes_max) const;
  /// The client has everything up to `seq`: it is forgotten, writers wake up.
  void delivered(uint64_t seq);
  /// Nobody listens any more: what is stored of a log that has ended leaves the memory.
  void release();
  /// The log is no longer needed: nothing is stored any more. `done` follows what is under way.
  void discard(std::function<void()> done);

  /// Why what was said last is not stored, and how often that was tried; null when it is.
  struct StorageFailure {
    Error error;
    uint32_t attempts = 0;
  };
  std::optional<StorageFailure> storage_failure() const;
  /// Tries again what the storage has refused. To be called every few seconds.
  void retry();

  uint64_t writable_bytes() const;
  /// Calls `wake` once, as soon as writable_bytes() is above 0 (at once, if it is).
  void on_writable(std::function<void()> wake);

 private:
  struct Entry {
    LogStorage::Record record;
    std::shared_ptr<const std::string> payload;  ///< null: read it from storage
    bool is_stored = false;
  };
  using Calls = std::vector<std::function<void()>>;
  /// What one task does with the storage, and what came of it.
  struct Work {
    std::vector<Entry> to_store;  ///< in order; the first `stored` of them are stored then
    size_t stored = 0;
    std::optional<Error> store_failure;
    std::optional<uint64_t> delivered;
    bool is_fetch = false;
    std::vector<Entry> to_read;  ///< get their payloads
    bool read_waits = false;     ///< there was no descriptor or memory for it
    Calls discarders;
  };

  static uint64_t weight(const LogStorage::Record& record);
  void append_locked(EventKind kind, EndCode code, std::string payload);
  /// Where the first event after `seq` is in entries_.
  size_t index_after_locked(uint64_t seq) const;
  bool is_shown_locked(const Entry& entry) const;
  uint64_t writable_locked() const;
  void drop_payload_locked(Entry& entry);
  void release_locked();

  // event_log_storing.cc
  static void set_read(Entry& entry, Result<std::string> bytes);
  bool has_work_locked() const;
  void settle();
  void stored_in_memory_locked(Calls& calls);
  void work();
  Work take_work_locked();
  void perform(Work& work) const;
  Calls finish_work_locked(Work& work);
  void stored_locked(Work& work, Calls& calls);
  void read_locked(Work& work, Calls& calls);

  const Limits limits_;
  const std::unique_ptr<LogStorage> storage_;
  const Post post_;
  mutable std::mutex storage_mutex_;  ///< held while the storage is called; never beside mutex_

  mutable std::mutex mutex_;
  std::function<void()> changed_;
  Utf8Stream stdout_, stderr_;
  std::deque<Entry> entries_;  ///< not yet delivered, by rising numbers
  uint64_t last_seq_ = 0;
  uint64_t stored_seq_ = 0;  ///< what comes later is not stored
  uint64_t undelivered_bytes_ = 0;
  uint64_t unstored_bytes_ = 0;
  uint64_t memory_bytes_ = 0;
  bool ended_ = false;
  bool is_discarded_ = false;
  bool busy_ = false;        ///< a task is under way
  bool read_waits_ = false;  ///< for retry()
  bool retry_now_ = false;
  std::optional<StorageFailure> failure_;
  std::optional<uint64_t> mark_delivered_;
  std::optional<uint64_t> fetch_after_;
  Calls fetchers_, enders_, discarders_, writers_;
};

}  // namespace pie::instance
