#include "instance/log_entries.h"

#include <algorithm>
#include <utility>

namespace pie::instance {
namespace {

/// What an event weighs beyond its payload, so that empty messages fill a log too.
constexpr uint64_t kEventOverheadBytes = 64;

}  // namespace

LogEntries::~LogEntries() {
  if (undelivered_) undelivered_->give_back(undelivered_bytes_);
}

uint64_t LogEntries::weight(const EventRecord& record) {
  return record.payload_bytes + kEventOverheadBytes;
}

void LogEntries::append(EventKind kind, EndKind end, std::string payload) {
  const EventRecord record{.seq = ++last_seq_,
                           .kind = kind,
                           .end = end,
                           .payload_offset = 0,
                           .payload_bytes = static_cast<uint32_t>(payload.size())};
  undelivered_bytes_ += weight(record);
  if (undelivered_) undelivered_->add(weight(record));
  unstored_bytes_ += weight(record);
  memory_bytes_ += payload.size();
  entries_.push_back({record, std::make_shared<const std::string>(std::move(payload)), false});
}

void LogEntries::adopt(const EventRecord& record) {
  entries_.push_back({record, nullptr, true});
  undelivered_bytes_ += weight(record);
  if (undelivered_) undelivered_->add(weight(record));
  adopt_last_seq(record.seq);
}

void LogEntries::adopt_last_seq(uint64_t seq) {
  stored_seq_ = last_seq_ = std::max(last_seq_, seq);
}

bool LogEntries::deliver(uint64_t seq) {
  bool any = false;
  for (; !entries_.empty() && entries_.front().record.seq <= seq; entries_.pop_front()) {
    const Entry& entry = entries_.front();
    undelivered_bytes_ -= weight(entry.record);
    if (undelivered_) undelivered_->give_back(weight(entry.record));
    if (!entry.is_stored) unstored_bytes_ -= weight(entry.record);
    if (entry.payload) memory_bytes_ -= entry.record.payload_bytes;
    any = true;
  }
  return any;
}

void LogEntries::stored(const EventRecord& record) {
  stored_seq_ = record.seq;
  Entry* entry = find(record.seq);
  if (entry == nullptr) return;
  entry->record.payload_offset = record.payload_offset;
  entry->is_stored = true;
  unstored_bytes_ -= weight(record);
}

bool LogEntries::stored_all() {
  const bool any = !is_stored();
  for (size_t i = first_unstored(); i < entries_.size(); ++i) entries_[i].is_stored = true;
  stored_seq_ = last_seq_;
  unstored_bytes_ = 0;
  return any;
}

void LogEntries::bring_back(const EventRecord& record, std::shared_ptr<const std::string> payload) {
  Entry* entry = find(record.seq);
  if (entry == nullptr || entry->payload) return;
  entry->payload = std::move(payload);
  entry->record.kind = record.kind;
  memory_bytes_ += entry->record.payload_bytes;
}

void LogEntries::drop_payload(Entry& entry) {
  if (!entry.payload || !entry.is_stored) return;
  memory_bytes_ -= entry.record.payload_bytes;
  entry.payload.reset();
}

void LogEntries::release_before(uint64_t seq, uint64_t bytes_max) {
  for (Entry& entry : entries_) {
    if (entry.record.seq >= seq || memory_bytes_ <= bytes_max) return;
    drop_payload(entry);
  }
}

void LogEntries::release(uint64_t seq) {
  if (Entry* entry = find(seq)) drop_payload(*entry);
}

void LogEntries::release_all() {
  for (Entry& entry : entries_) drop_payload(entry);
}

size_t LogEntries::index_after(uint64_t seq) const {
  const auto found =
      std::upper_bound(entries_.begin(), entries_.end(), seq,
                       [](uint64_t one, const Entry& entry) { return one < entry.record.seq; });
  return static_cast<size_t>(found - entries_.begin());
}

LogEntries::Entry* LogEntries::find(uint64_t seq) {
  const size_t index = index_after(seq - 1);
  return index < entries_.size() && entries_[index].record.seq == seq ? &entries_[index] : nullptr;
}

}  // namespace pie::instance
