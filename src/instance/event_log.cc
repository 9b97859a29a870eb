#include "instance/event_log.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"

namespace pie::instance {
namespace {

/// Payloads of a finished instance that stay in memory.
constexpr uint64_t kFinishedBytesMax = 4 << 10;

uint64_t room(uint64_t used, uint64_t max) { return used >= max ? 0 : max - used; }

void move_all(std::vector<std::function<void()>>& from, std::vector<std::function<void()>>& to) {
  std::move(from.begin(), from.end(), std::back_inserter(to));
  from.clear();
}

}  // namespace

EventLog::EventLog(const LogLimits& limits, std::unique_ptr<LogStorage> storage)
    : limits_(limits),
      storage_(std::move(storage)),
      entries_(limits.undelivered),
      storing_(entries_, limits.memory_bytes_max) {}

EventLog::EventLog(const LogLimits& limits, store::StoredLog stored)
    : EventLog(limits, std::move(stored.storage)) {
  PIE_CHECK(storage_ != nullptr);
  ended_ = stored.is_end_delivered;
  for (const EventRecord& record : stored.records) {
    entries_.adopt(record);
    if (record.kind == EventKind::kEnd) ended_ = true;
  }
  entries_.adopt_last_seq(stored.last_seq);
}

void EventLog::listen(std::function<void()> changed) {
  const std::lock_guard lock(mutex_);
  changed_ = std::move(changed);
}

void EventLog::write(EventKind stream, std::string_view bytes) {
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    std::string text = (stream == EventKind::kStdout ? stdout_ : stderr_).push(bytes);
    if (text.empty()) return;
    entries_.append(stream, EndKind::kCompleted, std::move(text));
  }
  settle();
}

void EventLog::append(EventKind kind, std::string payload) {
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    entries_.append(kind, EndKind::kCompleted, std::move(payload));
  }
  settle();
}

void EventLog::end(End end, std::function<void()> done) {
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    if (std::string rest = stdout_.finish(); !rest.empty())
      entries_.append(EventKind::kStdout, EndKind::kCompleted, std::move(rest));
    if (std::string rest = stderr_.finish(); !rest.empty())
      entries_.append(EventKind::kStderr, EndKind::kCompleted, std::move(rest));
    entries_.append(EventKind::kEnd, end.kind, std::move(end.message));
    ended_ = true;
    storing_.insist();
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
  return entries_.last_seq();
}

uint64_t EventLog::delivered_seq() const {
  const std::lock_guard lock(mutex_);
  return entries_.empty() ? entries_.last_seq() : entries_[0].record.seq - 1;
}

uint64_t EventLog::undelivered_bytes() const {
  const std::lock_guard lock(mutex_);
  return entries_.undelivered_bytes();
}

uint64_t EventLog::memory_bytes() const {
  const std::lock_guard lock(mutex_);
  return entries_.memory_bytes();
}

bool EventLog::is_shown_locked(const LogEntries::Entry& entry) const {
  return entry.is_stored || (ended_ && storing_.failure());
}

std::optional<Event> EventLog::next(uint64_t seq) const {
  const std::lock_guard lock(mutex_);
  const size_t index = entries_.index_after(seq);
  if (index == entries_.size()) return std::nullopt;
  const LogEntries::Entry& entry = entries_[index];
  if (!entry.payload || !is_shown_locked(entry)) return std::nullopt;
  return Event{entry.record.seq, entry.record.kind, entry.record.end, entry.payload};
}

bool EventLog::fetch(uint64_t seq, std::function<void()> ready) {
  {
    const std::lock_guard lock(mutex_);
    const size_t index = entries_.index_after(seq);
    if (is_discarded_ || index == entries_.size() || !is_shown_locked(entries_[index]))
      return false;
    if (!entries_[index].payload) {
      storing_.fetch(seq);
      fetchers_.push_back(std::exchange(ready, nullptr));
    }
  }
  if (ready) ready();  // it has come meanwhile
  settle();
  return true;
}

uint64_t EventLog::before_last(uint64_t bytes_max) const {
  const std::lock_guard lock(mutex_);
  uint64_t seq = entries_.last_seq();
  uint64_t bytes = 0;
  bool is_last = true;
  for (size_t i = entries_.size(); i-- > 0;) {
    if (!is_shown_locked(entries_[i])) continue;
    bytes += entries_[i].record.payload_bytes;
    if (bytes > bytes_max && !is_last) break;
    seq = entries_[i].record.seq - 1;
    is_last = false;
  }
  return seq;
}

void EventLog::delivered(uint64_t seq) {
  {
    const std::lock_guard lock(mutex_);
    if (entries_.deliver(seq) && !is_discarded_)
      storing_.delivered(std::min(seq, entries_.last_seq()));
  }
  settle();
}

void EventLog::release_locked() {
  if (ended_ && storage_ && entries_.memory_bytes() > kFinishedBytesMax) entries_.release_all();
}

void EventLog::release() {
  const std::lock_guard lock(mutex_);
  release_locked();
}

void EventLog::discard(std::function<void()> done) {
  {
    const std::lock_guard lock(mutex_);
    is_discarded_ = true;
    storing_.stop();
    discarders_.push_back(std::move(done));
  }
  settle();
}

std::optional<StorageFailure> EventLog::storage_failure() const {
  const std::lock_guard lock(mutex_);
  return storing_.failure();
}

void EventLog::retry() {
  {
    const std::lock_guard lock(mutex_);
    if (!storing_.retry()) return;
  }
  settle();
}

uint64_t EventLog::writable_locked() const {
  if (storing_.failure() && !ended_) return 0;
  return std::min(room(entries_.undelivered_bytes(), limits_.undelivered_bytes_max),
                  room(entries_.unstored_bytes(), limits_.unstored_bytes_max));
}

Result<void> EventLog::check_room(uint64_t bytes) const {
  if (storage_ || !limits_.undelivered || !limits_.undelivered->would_exceed(bytes)) return {};
  return Error{ErrorCode::kResourceExhausted,
               "output that its parent has not received: " + limits_.undelivered->refusal(bytes)};
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

void EventLog::settle() {
  Calls calls;
  std::optional<LogWork> work;
  {
    const std::lock_guard lock(mutex_);
    if (storage_) {
      work = storing_.begin();
    } else {  // what is said is as good as stored
      if (entries_.stored_all() && changed_) calls.push_back(changed_);
      move_all(enders_, calls);
    }
    if (is_discarded_ && !storing_.is_busy())
      for (Calls* waiting : {&fetchers_, &enders_, &discarders_}) move_all(*waiting, calls);
    if (writable_locked() > 0) move_all(writers_, calls);
  }
  for (const auto& call : calls) call();
  if (work)
    storage_->perform(std::move(*work), [self = shared_from_this()](LogWorkDone done) {
      self->worked(std::move(done));
    });
}

void EventLog::worked(LogWorkDone done) {
  Calls calls;
  {
    const std::lock_guard lock(mutex_);
    finish_locked(std::move(done), calls);
  }
  for (const auto& call : calls) call();
  settle();
}

void EventLog::finish_locked(LogWorkDone done, Calls& calls) {
  const LogStoring::Outcome outcome = storing_.finish(std::move(done));
  if (outcome.has_fetched) move_all(fetchers_, calls);
  if (!outcome.has_stored) return;
  if (changed_) calls.push_back(changed_);
  if (!ended_ || (!entries_.is_stored() && !storing_.failure())) return;
  release_locked();
  move_all(enders_, calls);
}

}  // namespace pie::instance
