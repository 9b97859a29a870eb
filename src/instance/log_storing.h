#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "instance/log_entries.h"

namespace pie::instance {

/// Why what was said last is not stored, and how often that was tried.
struct StorageFailure {
  Error error;
  uint32_t attempts = 0;
};

/// What a log wants of its storage next, and what came of it: one LogWork at a time. Not
/// thread-safe; does not call the storage.
class LogStoring {
 public:
  /// `memory_bytes_max`: payloads kept in memory; more is read back.
  LogStoring(LogEntries& entries, uint64_t memory_bytes_max)
      : entries_(entries), memory_bytes_max_(memory_bytes_max) {}

  /// Events up to `seq` need not be kept.
  void delivered(uint64_t seq) { delivered_ = seq; }
  /// The first events after `seq` are to be brought back.
  void fetch(uint64_t seq) { fetch_after_ = seq; }
  /// What the storage has refused is tried again. False when it has refused nothing.
  bool retry();
  /// What comes next is tried even after a failure.
  void insist() { insists_ = true; }
  /// Nothing begins any more but to mark what was delivered.
  void stop() { is_stopped_ = true; }

  /// The next work, unless there is none or one is under way.
  std::optional<LogWork> begin();

  struct Outcome {
    bool has_stored = false;   ///< or failed to: failure()
    bool has_fetched = false;  ///< what was asked for by fetch()
  };
  Outcome finish(LogWorkDone done);

  bool is_busy() const { return is_busy_; }
  const std::optional<StorageFailure>& failure() const { return failure_; }

 private:
  void add_unstored(LogWork& work);
  void add_fetched(LogWork& work);
  void finish_storing(LogWorkDone& done);
  void finish_fetching(LogWorkDone& done);

  LogEntries& entries_;
  const uint64_t memory_bytes_max_;
  std::optional<uint64_t> delivered_, fetch_after_;
  std::optional<StorageFailure> failure_;
  bool fetch_waits_ = false;  ///< for retry()
  bool insists_ = false;
  bool is_stopped_ = false;
  // The work that is under way.
  bool is_busy_ = false;
  bool is_fetching_ = false;
  std::vector<EventRecord> storing_, fetching_;
};

}  // namespace pie::instance
