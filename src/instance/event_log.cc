#include "instance/event_log.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace pie::instance {
namespace {

/// What an event weighs beyond its payload, so that empty messages fill a log too.
constexpr uint64_t kEventOverheadBytes = 64;
/// Payloads of a finished instance that stay in memory.
constexpr uint64_t kFinishedBytesMax = 4 << 10;

uint64_t room(uint64_t used, uint64_t max) { return used >= max ? 0 : max - used; }

}  // namespace

EventLog::EventLog(const Limits& limits, std::unique_ptr<LogStorage> storage, Post post)
    : limits_(limits), storage_(std::move(storage)), post_(std::move(post)) {}

EventLog::EventLog(const Limits& limits, std::unique_ptr<LogStorage> storage,
                   const std::vector<LogStorage::Record>& records, uint64_t last_seq,
                   bool is_end_delivered, Post post)
    : limits_(limits),
      storage_(std::move(storage)),
      post_(std::move(post)),
      last_seq_(last_seq),
      ended_(is_end_delivered) {
  PIE_CHECK(storage_ != nullptr);
  for (const auto& record : records) {
    entries_.push_back({record, nullptr, true});
    undelivered_bytes_ += weight(record);
    last_seq_ = std::max(last_seq_, record.seq);
    if (record.kind == EventKind::kEnd) ended_ = true;
  }
  stored_seq_ = last_seq_;
  if (limits_.shared) limits_.shared->stored_logs.add(undelivered_bytes_);
}

EventLog::~EventLog() {
  if (limits_.shared) limits_.shared->stored_logs.give_back(undelivered_bytes_);
}

void EventLog::listen(std::function<void()> changed) {
  const std::lock_guard lock(mutex_);
  changed_ = std::move(changed);
}

uint64_t EventLog::weight(const LogStorage::Record& record) {
  return record.payload_bytes + kEventOverheadBytes;
}

void EventLog::append_locked(EventKind kind, EndCode code, std::string payload) {
  const LogStorage::Record record{.seq = ++last_seq_,
                                  .kind = kind,
                                  .end = code,
                                  .payload_offset = 0,
                                  .payload_bytes = static_cast<uint32_t>(payload.size())};
  undelivered_bytes_ += weight(record);
  if (limits_.shared) limits_.shared->stored_logs.add(weight(record));
  memory_bytes_ += payload.size();
  unstored_bytes_ += weight(record);
  entries_.push_back({record, std::make_shared<const std::string>(std::move(payload)), false});
}

void EventLog::write(EventKind stream, std::string_view bytes) {
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    std::string text = (stream == EventKind::kStdout ? stdout_ : stderr_).push(bytes);
    if (text.empty()) return;
    append_locked(stream, EndCode::kCompleted, std::move(text));
  }
  settle();
}

void EventLog::append(EventKind kind, std::string payload) {
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    append_locked(kind, EndCode::kCompleted, std::move(payload));
  }
  settle();
}

void EventLog::end(EndCode code, std::string message, std::function<void()> done) {
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    if (std::string rest = stdout_.finish(); !rest.empty())
      append_locked(EventKind::kStdout, EndCode::kCompleted, std::move(rest));
    if (std::string rest = stderr_.finish(); !rest.empty())
      append_locked(EventKind::kStderr, EndCode::kCompleted, std::move(rest));
    append_locked(EventKind::kEnd, code, std::move(message));
    ended_ = true;
    retry_now_ = true;
    if (done) enders_.push_back(std::move(done));
  }
  settle();
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

size_t EventLog::index_after_locked(uint64_t seq) const {
  const auto found =
      std::upper_bound(entries_.begin(), entries_.end(), seq,
                       [](uint64_t one, const Entry& entry) { return one < entry.record.seq; });
  return static_cast<size_t>(found - entries_.begin());
}

bool EventLog::is_shown_locked(const Entry& entry) const {
  return entry.is_stored || (ended_ && failure_);
}

std::optional<Event> EventLog::next(uint64_t seq) const {
  const std::lock_guard lock(mutex_);
  const size_t index = index_after_locked(seq);
  if (index == entries_.size()) return std::nullopt;
  const Entry& entry = entries_[index];
  if (!entry.payload || !is_shown_locked(entry)) return std::nullopt;
  return Event{entry.record.seq, entry.record.kind, entry.record.end, entry.payload};
}

bool EventLog::fetch(uint64_t seq, std::function<void()> ready) {
  {
    const std::lock_guard lock(mutex_);
    const size_t index = index_after_locked(seq);
    if (index == entries_.size() || !is_shown_locked(entries_[index])) return false;
    if (!entries_[index].payload) {
      fetch_after_ = seq;
      fetchers_.push_back(std::exchange(ready, nullptr));
    }
  }
  if (ready) ready();  // it has come meanwhile
  settle();
  return true;
}

std::optional<Event> EventLog::read(uint64_t seq) const {
  Entry entry;
  {
    const std::lock_guard lock(mutex_);
    const size_t index = index_after_locked(seq);
    if (index == entries_.size() || !is_shown_locked(entries_[index])) return std::nullopt;
    entry = entries_[index];
  }
  if (!entry.payload) {
    const std::lock_guard lock(storage_mutex_);
    auto bytes = storage_->read(entry.record.payload_offset, entry.record.payload_bytes);
    storage_->rest();
    set_read(entry, std::move(bytes));
  }
  return Event{entry.record.seq, entry.record.kind, entry.record.end, entry.payload};
}

uint64_t EventLog::before_last(uint64_t bytes_max) const {
  const std::lock_guard lock(mutex_);
  uint64_t seq = last_seq_;
  uint64_t bytes = 0;
  bool is_last = true;
  for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry) {
    if (!is_shown_locked(*entry)) continue;
    bytes += entry->record.payload_bytes;
    if (bytes > bytes_max && !is_last) break;
    seq = entry->record.seq - 1;
    is_last = false;
  }
  return seq;
}

void EventLog::drop_payload_locked(Entry& entry) {
  if (!entry.payload || !entry.is_stored || !storage_) return;
  memory_bytes_ -= entry.record.payload_bytes;
  entry.payload.reset();
}

void EventLog::release_locked() {
  if (!ended_ || memory_bytes_ <= kFinishedBytesMax) return;
  for (Entry& entry : entries_) drop_payload_locked(entry);
}

void EventLog::release() {
  const std::lock_guard lock(mutex_);
  release_locked();
}

void EventLog::delivered(uint64_t seq) {
  {
    const std::lock_guard lock(mutex_);
    bool any = false;
    while (!entries_.empty() && entries_.front().record.seq <= seq) {
      const Entry& entry = entries_.front();
      undelivered_bytes_ -= weight(entry.record);
      if (limits_.shared) limits_.shared->stored_logs.give_back(weight(entry.record));
      if (!entry.is_stored) unstored_bytes_ -= weight(entry.record);
      if (entry.payload) memory_bytes_ -= entry.record.payload_bytes;
      entries_.pop_front();
      any = true;
    }
    if (any && storage_) mark_delivered_ = std::min(seq, last_seq_);
  }
  settle();
}

void EventLog::discard(std::function<void()> done) {
  {
    const std::lock_guard lock(mutex_);
    is_discarded_ = true;
    fetch_after_.reset();
    fetchers_.clear();
    discarders_.push_back(std::move(done));
  }
  settle();
}

std::optional<EventLog::StorageFailure> EventLog::storage_failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void EventLog::retry() {
  {
    const std::lock_guard lock(mutex_);
    if (!failure_ && !read_waits_) return;
    retry_now_ = true;
  }
  settle();
}

uint64_t EventLog::writable_locked() const {
  if (failure_ && !ended_) return 0;
  return std::min(room(undelivered_bytes_, limits_.undelivered_bytes_max),
                  room(unstored_bytes_, limits_.unstored_bytes_max));
}

uint64_t EventLog::writable_bytes() const {
  const std::lock_guard lock(mutex_);
  return writable_locked();
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
