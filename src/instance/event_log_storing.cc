// How a log gets to its storage and back: the tasks that wait for the disk.
#include <algorithm>
#include <iterator>
#include <utility>

#include "base/guarded.h"
#include "base/log.h"
#include "instance/event_log.h"

namespace pie::instance {
namespace {

/// Of one task, so that the logs of others get their turn.
constexpr size_t kStoreEventsMax = 256;
constexpr uint64_t kStoreBytesMax = 1ULL << 20;

bool may_work_later(const Error& error) { return error.code == ErrorCode::kResourceExhausted; }

}  // namespace

void EventLog::set_read(Entry& entry, Result<std::string> bytes) {
  if (!bytes.ok()) {
    log::error("instance log: {}", bytes.error().message);
    if (entry.record.kind != EventKind::kEnd) entry.record.kind = EventKind::kStderr;
    bytes = "[instance log] event lost: " + bytes.error().message;
  }
  entry.payload = std::make_shared<const std::string>(std::move(bytes).value());
}

bool EventLog::has_work_locked() const {
  const bool may_try = retry_now_ || !failure_;
  const bool may_read = retry_now_ || !read_waits_;
  if (mark_delivered_ || !discarders_.empty()) return true;
  if (is_discarded_) return !enders_.empty();
  return (may_try && index_after_locked(stored_seq_) < entries_.size()) ||
         (may_read && fetch_after_);
}

/// After every change: posts a task, when there is something to do, and wakes who waits.
void EventLog::settle() {
  Calls calls;
  bool begins = false;
  {
    const std::lock_guard lock(mutex_);
    if (!storage_) {
      stored_in_memory_locked(calls);
    } else if (!busy_) {
      begins = busy_ = has_work_locked();
    }
    if (writable_locked() > 0) calls.insert(calls.end(), writers_.begin(), writers_.end());
    if (writable_locked() > 0) writers_.clear();
  }
  for (auto& call : calls) call();
  if (begins && post_) post_([self = shared_from_this()] { self->work(); });
  if (begins && !post_) work();
}

/// A log without storage: what is said is as good as stored.
void EventLog::stored_in_memory_locked(Calls& calls) {
  const size_t first = index_after_locked(stored_seq_);
  for (size_t i = first; i < entries_.size(); ++i) entries_[i].is_stored = true;
  if (first < entries_.size() && changed_) calls.push_back(changed_);
  stored_seq_ = last_seq_;
  unstored_bytes_ = 0;
  for (Calls* waiting : {&enders_, &discarders_}) {
    std::move(waiting->begin(), waiting->end(), std::back_inserter(calls));
    waiting->clear();
  }
}

void EventLog::work() {
  for (bool again = true; again;) {
    Work work;
    {
      const std::lock_guard lock(mutex_);
      work = take_work_locked();
    }
    perform(work);
    Calls calls;
    {
      const std::lock_guard lock(mutex_);
      calls = finish_work_locked(work);
      again = busy_ = has_work_locked();
    }
    for (auto& call : calls) call();
    if (again && post_) return post_([self = shared_from_this()] { self->work(); });
  }
}

EventLog::Work EventLog::take_work_locked() {
  Work work;
  work.delivered = std::exchange(mark_delivered_, std::nullopt);
  if (is_discarded_) {
    work.discarders = std::exchange(enders_, {});
    std::move(discarders_.begin(), discarders_.end(), std::back_inserter(work.discarders));
    discarders_.clear();
    return work;
  }
  const bool again = std::exchange(retry_now_, false);
  uint64_t bytes = 0;
  for (size_t i = index_after_locked(stored_seq_); i < entries_.size() && (again || !failure_);
       ++i) {
    if (work.to_store.size() == kStoreEventsMax || bytes > kStoreBytesMax) break;
    bytes += entries_[i].record.payload_bytes;
    work.to_store.push_back(entries_[i]);
  }
  if (!fetch_after_ || (read_waits_ && !again)) return work;
  bytes = 0;
  for (size_t i = index_after_locked(*fetch_after_); i < entries_.size(); ++i) {
    bytes += entries_[i].record.payload_bytes;
    const bool is_enough = !work.to_read.empty() && bytes > limits_.memory_bytes_max;
    if (is_enough || !entries_[i].is_stored || entries_[i].payload) break;
    work.to_read.push_back(entries_[i]);
  }
  work.is_fetch = true;
  return work;
}

void EventLog::perform(Work& work) const {
  const std::lock_guard lock(storage_mutex_);
  for (Entry& entry : work.to_store) {
    auto offset = storage_->append(entry.record, *entry.payload);
    if (!offset.ok()) {
      work.store_failure = std::move(offset).error();
      break;
    }
    entry.record.payload_offset = *offset;
    ++work.stored;
  }
  if (work.delivered) storage_->delivered(*work.delivered);
  for (Entry& entry : work.to_read) {
    auto bytes = guarded("instance log", [&] {
      return storage_->read(entry.record.payload_offset, entry.record.payload_bytes);
    });
    work.read_waits = !bytes.ok() && may_work_later(bytes.error());
    if (work.read_waits) break;
    set_read(entry, std::move(bytes));
  }
  storage_->rest();
}

EventLog::Calls EventLog::finish_work_locked(Work& work) {
  Calls calls = std::move(work.discarders);
  if (!work.to_store.empty()) stored_locked(work, calls);
  if (work.is_fetch) read_locked(work, calls);
  if (writable_locked() == 0) return calls;
  std::move(writers_.begin(), writers_.end(), std::back_inserter(calls));
  writers_.clear();
  return calls;
}

void EventLog::stored_locked(Work& work, Calls& calls) {
  for (size_t i = 0; i < work.stored; ++i) {
    const LogStorage::Record& record = work.to_store[i].record;
    stored_seq_ = record.seq;
    const size_t index = index_after_locked(record.seq - 1);
    if (index == entries_.size() || entries_[index].record.seq != record.seq) continue;
    Entry& entry = entries_[index];
    entry.record.payload_offset = record.payload_offset;
    entry.is_stored = true;
    unstored_bytes_ -= weight(record);
    if (memory_bytes_ > limits_.memory_bytes_max) drop_payload_locked(entry);
  }
  if (work.store_failure) {
    if (!failure_) log::error("instance log: {}", work.store_failure->message);
    failure_ = {std::move(*work.store_failure), failure_ ? failure_->attempts + 1 : 1};
  } else {
    failure_.reset();
  }
  if (changed_) calls.push_back(changed_);
  if (!ended_ || (stored_seq_ < last_seq_ && !failure_)) return;
  release_locked();
  std::move(enders_.begin(), enders_.end(), std::back_inserter(calls));
  enders_.clear();
}

void EventLog::read_locked(Work& work, Calls& calls) {
  read_waits_ = work.read_waits;
  const uint64_t after = work.to_read.empty() ? 0 : work.to_read.front().record.seq - 1;
  for (size_t i = 0; i < index_after_locked(after); ++i)
    if (memory_bytes_ > limits_.memory_bytes_max) drop_payload_locked(entries_[i]);
  for (const Entry& one : work.to_read) {
    const size_t index = index_after_locked(one.record.seq - 1);
    const bool is_there = index < entries_.size() && entries_[index].record.seq == one.record.seq;
    if (!one.payload || !is_there || entries_[index].payload) continue;
    entries_[index].payload = one.payload;
    entries_[index].record.kind = one.record.kind;
    memory_bytes_ += one.record.payload_bytes;
  }
  if (read_waits_) return;
  fetch_after_.reset();
  std::move(fetchers_.begin(), fetchers_.end(), std::back_inserter(calls));
  fetchers_.clear();
}

}  // namespace pie::instance
