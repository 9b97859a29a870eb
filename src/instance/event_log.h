#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ledger.h"
#include "base/utf8.h"
#include "instance/event.h"
#include "instance/log_entries.h"
#include "instance/log_storing.h"
#include "store/instance_records.h"

namespace pie::instance {

struct LogLimits {
  uint64_t undelivered_bytes_max = 64ULL << 20;  ///< above it the program's writes wait
  uint64_t unstored_bytes_max = 4ULL << 20;      ///< said and not yet stored: the same
  uint64_t memory_bytes_max = 1ULL << 20;        ///< payloads kept in memory; more is read back
  std::shared_ptr<Quota> undelivered;            ///< counts what is undelivered; may be null
};

/// The ordered log of everything one instance says, from the program's writes to the pong that
/// proves delivery. Nothing is dropped: when it is full, or the disk does not follow,
/// writable_bytes() is 0 and the program waits. No call waits for the disk: the storage works on
/// its own. An event is shown by next() once it is stored. Thread-safe.
class EventLog : public std::enable_shared_from_this<EventLog> {
 public:
  /// A new log. With a storage it is owned by a shared pointer; `storage` null: it lives in memory
  /// alone.
  EventLog(const LogLimits& limits, std::unique_ptr<LogStorage> storage);
  /// A log that an earlier process wrote.
  EventLog(const LogLimits& limits, store::StoredLog stored);

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
  void end(End end, std::function<void()> done = nullptr);

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
  /// `ready` called then, or when the log is discarded. False when that is not why.
  bool fetch(uint64_t seq, std::function<void()> ready);
  /// The last events whose payloads are together at most `bytes_max` (the last event always) come
  /// after this one: what next() begins with for them.
  uint64_t before_last(uint64_t bytes_max) const;
  /// The client has everything up to `seq`: it is forgotten, writers wake up.
  void delivered(uint64_t seq);
  /// Nobody listens any more: what is stored of a log that has ended leaves the memory.
  void release();
  /// The log is no longer needed: nothing is stored any more. `done` follows what is under way, and
  /// the mark of what was delivered: were it lost, a crash would bring the instance back.
  void discard(std::function<void()> done);

  /// Why what was said last is not stored; null when it is.
  std::optional<StorageFailure> storage_failure() const;
  /// Tries again what the storage has refused. To be called every few seconds.
  void retry();

  /// Of a log in memory alone: why so many bytes more cannot be kept, if they cannot. (What is
  /// stored is looked at by who writes.)
  Result<void> check_room(uint64_t bytes) const;
  uint64_t writable_bytes() const;
  /// Calls `wake` once, as soon as writable_bytes() is above 0 (at once, if it is).
  void on_writable(std::function<void()> wake);

 private:
  using Calls = std::vector<std::function<void()>>;

  /// After every change: calls who waits for it, and gives the storage its next work.
  void settle();
  void worked(LogWorkDone done);
  void finish_locked(LogWorkDone done, Calls& calls);
  bool is_shown_locked(const LogEntries::Entry& entry) const;
  uint64_t writable_locked() const;
  void release_locked();

  const LogLimits limits_;
  const std::unique_ptr<LogStorage> storage_;

  mutable std::mutex mutex_;
  std::function<void()> changed_;
  Utf8Stream stdout_, stderr_;
  LogEntries entries_;
  LogStoring storing_;
  bool ended_ = false;
  bool is_discarded_ = false;
  Calls fetchers_, enders_, discarders_, writers_;
};

}  // namespace pie::instance
