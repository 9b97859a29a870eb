#include "instance/event_log.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/log.h"

namespace pie::instance {
namespace {

/// What an event weighs beyond its payload, so that empty messages fill a log too.
constexpr uint64_t kEventOverheadBytes = 64;
/// Payloads of a finished instance that stay in memory.
constexpr uint64_t kFinishedBytesMax = 4 << 10;

uint64_t weight(const LogStorage::Record& record) {
  return record.payload_bytes + kEventOverheadBytes;
}

}  // namespace

EventLog::EventLog(const Limits& limits, std::unique_ptr<LogStorage> storage)
    : limits_(limits), storage_(std::move(storage)) {}

EventLog::EventLog(const Limits& limits, std::unique_ptr<LogStorage> storage,
                   const std::vector<LogStorage::Record>& records, uint64_t last_seq,
                   bool is_end_delivered)
    : limits_(limits), storage_(std::move(storage)), last_seq_(last_seq), ended_(is_end_delivered) {
  PIE_CHECK(storage_ != nullptr);
  for (const auto& record : records) {
    entries_.push_back({record, nullptr, true});
    undelivered_bytes_ += weight(record);
    last_seq_ = std::max(last_seq_, record.seq);
    if (record.kind == EventKind::kEnd) ended_ = true;
  }
  if (limits_.shared) limits_.shared->stored_logs.add(undelivered_bytes_);
}

EventLog::~EventLog() {
  if (limits_.shared) limits_.shared->stored_logs.give_back(undelivered_bytes_);
}

void EventLog::append_locked(EventKind kind, EndCode code, std::string payload) {
  LogStorage::Record record{.seq = last_seq_ + 1,
                            .kind = kind,
                            .end = code,
                            .payload_offset = 0,
                            .payload_bytes = static_cast<uint32_t>(payload.size())};
  bool stored = false;
  if (storage_) {
    auto offset = storage_->append(record, payload);
    stored = offset.ok();
    if (stored) record.payload_offset = *offset;
    if (!stored && storage_failure_.empty()) log::error("instance log: {}", offset.error().message);
    storage_failure_ = stored ? "" : offset.error().message;
  }
  last_seq_ = record.seq;
  undelivered_bytes_ += weight(record);
  if (limits_.shared) limits_.shared->stored_logs.add(weight(record));
  const bool keep = !stored || memory_bytes_ + payload.size() <= limits_.memory_bytes_max;
  if (keep) memory_bytes_ += payload.size();
  entries_.push_back(
      {record, keep ? std::make_shared<const std::string>(std::move(payload)) : nullptr, stored});
}

void EventLog::release_locked() {
  if (memory_bytes_ <= kFinishedBytesMax) return;
  for (Entry& entry : entries_) {
    if (!entry.is_stored || !entry.payload) continue;
    memory_bytes_ -= entry.record.payload_bytes;
    entry.payload.reset();
  }
}

void EventLog::write(EventKind stream, std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  if (ended_) return;
  std::string text = (stream == EventKind::kStdout ? stdout_ : stderr_).push(bytes);
  if (!text.empty()) append_locked(stream, EndCode::kCompleted, std::move(text));
}

void EventLog::append(EventKind kind, std::string payload) {
  const std::lock_guard lock(mutex_);
  if (!ended_) append_locked(kind, EndCode::kCompleted, std::move(payload));
}

void EventLog::end(EndCode code, std::string message) {
  const std::lock_guard lock(mutex_);
  if (ended_) return;
  if (std::string rest = stdout_.finish(); !rest.empty())
    append_locked(EventKind::kStdout, EndCode::kCompleted, std::move(rest));
  if (std::string rest = stderr_.finish(); !rest.empty())
    append_locked(EventKind::kStderr, EndCode::kCompleted, std::move(rest));
  append_locked(EventKind::kEnd, code, std::move(message));
  ended_ = true;
  release_locked();
}

bool EventLog::ended() const {
  const std::lock_guard lock(mutex_);
  return ended_;
}

bool EventLog::drained() const {
  const std::lock_guard lock(mutex_);
  return ended_ && entries_.empty();
}

uint64_t EventLog::last_seq() const {
  const std::lock_guard lock(mutex_);
  return last_seq_;
}

uint64_t EventLog::delivered_seq() const {
  const std::lock_guard lock(mutex_);
  return entries_.empty() ? last_seq_ : entries_.front().record.seq - 1;
}

uint64_t EventLog::undelivered_bytes() const {
  const std::lock_guard lock(mutex_);
  return undelivered_bytes_;
}

uint64_t EventLog::memory_bytes() const {
  const std::lock_guard lock(mutex_);
  return memory_bytes_;
}

std::optional<Event> EventLog::next(uint64_t seq) const {
  const std::lock_guard lock(mutex_);
  if (seq >= last_seq_ || entries_.empty()) return std::nullopt;
  const uint64_t first = entries_.front().record.seq;
  const size_t index = seq < first ? 0 : seq + 1 - first;
  if (index >= entries_.size()) return std::nullopt;
  const Entry& entry = entries_[index];
  Event event{entry.record.seq, entry.record.kind, entry.record.end, entry.payload};
  if (!event.payload) {
    auto bytes = storage_->read(entry.record.payload_offset, entry.record.payload_bytes);
    if (!bytes.ok()) {
      log::error("instance log: {}", bytes.error().message);
      if (event.kind != EventKind::kEnd) event.kind = EventKind::kStderr;
    }
    event.payload = std::make_shared<const std::string>(bytes.ok() ? std::move(bytes).value()
                                                                   : "[instance log] event lost: " +
                                                                         bytes.error().message);
  }
  return event;
}

uint64_t EventLog::before_last(uint64_t bytes_max) const {
  const std::lock_guard lock(mutex_);
  uint64_t seq = last_seq_;
  uint64_t bytes = 0;
  for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry) {
    bytes += entry->record.payload_bytes;
    if (bytes > bytes_max && entry != entries_.rbegin()) break;
    seq = entry->record.seq - 1;
  }
  return seq;
}

std::string EventLog::storage_failure() const {
  const std::lock_guard lock(mutex_);
  return storage_failure_;
}

uint64_t EventLog::writable_locked() const {
  return undelivered_bytes_ >= limits_.undelivered_bytes_max
             ? 0
             : limits_.undelivered_bytes_max - undelivered_bytes_;
}

uint64_t EventLog::writable_bytes() const {
  const std::lock_guard lock(mutex_);
  return writable_locked();
}

void EventLog::delivered(uint64_t seq) {
  std::vector<std::function<void()>> wake;
  {
    const std::lock_guard lock(mutex_);
    bool any = false;
    while (!entries_.empty() && entries_.front().record.seq <= seq) {
      undelivered_bytes_ -= weight(entries_.front().record);
      if (limits_.shared) limits_.shared->stored_logs.give_back(weight(entries_.front().record));
      if (entries_.front().payload) memory_bytes_ -= entries_.front().record.payload_bytes;
      entries_.pop_front();
      any = true;
    }
    if (any && storage_) storage_->delivered(std::min(seq, last_seq_));
    if (writable_locked() > 0) wake.swap(writers_);
  }
  for (auto& one : wake) one();
}

void EventLog::on_writable(std::function<void()> wake) {
  {
    const std::lock_guard lock(mutex_);
    if (writable_locked() == 0) {
      writers_.push_back(std::move(wake));
      return;
    }
  }
  wake();
}

}  // namespace pie::instance
