#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "base/quota.h"
#include "ports/log_storage.h"

namespace pie::instance {

/// The events of one log that were not delivered, by rising numbers, and what they take. Not
/// thread-safe.
class LogEntries {
 public:
  struct Entry {
    EventRecord record;
    std::shared_ptr<const std::string> payload;  ///< null: it is in the storage alone
    bool is_stored = false;
  };

  /// `undelivered` counts what is undelivered; may be null.
  explicit LogEntries(std::shared_ptr<Quota> undelivered) : undelivered_(std::move(undelivered)) {}
  ~LogEntries();
  LogEntries(const LogEntries&) = delete;
  LogEntries& operator=(const LogEntries&) = delete;

  void append(EventKind kind, EndKind end, std::string payload);
  /// One that is stored.
  void adopt(const EventRecord& record);
  /// Numbers go on behind this one.
  void adopt_last_seq(uint64_t seq);
  /// Forgets those up to `seq`; false when there were none.
  bool deliver(uint64_t seq);

  /// Those up to the record's are stored now, this one at its offset.
  void stored(const EventRecord& record);
  /// All are as good as stored: there is no storage. False when they were.
  bool stored_all();
  /// Brought back from the storage, as the record says; unless it has gone, or come, meanwhile.
  void bring_back(const EventRecord& record, std::shared_ptr<const std::string> payload);
  /// Lets stored payloads go: those before `seq`, from the oldest, while there are more than
  /// `bytes_max` in memory.
  void release_before(uint64_t seq, uint64_t bytes_max);
  void release(uint64_t seq);  ///< the same of this one alone
  void release_all();

  bool empty() const { return entries_.empty(); }
  size_t size() const { return entries_.size(); }
  const Entry& operator[](size_t index) const { return entries_[index]; }
  /// Where the first one after `seq` is; size() when there is none.
  size_t index_after(uint64_t seq) const;
  size_t first_unstored() const { return index_after(stored_seq_); }

  uint64_t last_seq() const { return last_seq_; }
  bool is_stored() const { return stored_seq_ == last_seq_; }
  uint64_t undelivered_bytes() const { return undelivered_bytes_; }
  uint64_t unstored_bytes() const { return unstored_bytes_; }
  /// Payloads that are kept in memory.
  uint64_t memory_bytes() const { return memory_bytes_; }

 private:
  static uint64_t weight(const EventRecord& record);
  Entry* find(uint64_t seq);
  void drop_payload(Entry& entry);

  const std::shared_ptr<Quota> undelivered_;
  std::deque<Entry> entries_;
  uint64_t last_seq_ = 0;
  uint64_t stored_seq_ = 0;  ///< what comes later is not stored
  uint64_t undelivered_bytes_ = 0;
  uint64_t unstored_bytes_ = 0;
  uint64_t memory_bytes_ = 0;
};

}  // namespace pie::instance
