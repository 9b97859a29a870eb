#include "instance/log_storing.h"

#include <utility>

#include "base/log.h"

namespace pie::instance {
namespace {

/// Of one work, so that the logs of others get their turn.
constexpr size_t kStoreEventsMax = 256;
constexpr uint64_t kStoreBytesMax = 1ULL << 20;

}  // namespace

bool LogStoring::retry() {
  if (!failure_ && !fetch_waits_) return false;
  insists_ = true;
  return true;
}

std::optional<LogWork> LogStoring::begin() {
  if (is_busy_) return std::nullopt;
  const bool stores =
      !is_stopped_ && (insists_ || !failure_) && entries_.first_unstored() < entries_.size();
  const bool fetches = !is_stopped_ && (insists_ || !fetch_waits_) && fetch_after_;
  if (!stores && !fetches && !delivered_) return std::nullopt;
  is_busy_ = true;
  insists_ = false;
  LogWork work;
  work.delivered = std::exchange(delivered_, std::nullopt);
  if (stores) add_unstored(work);
  if (fetches) add_fetched(work);
  return work;
}

void LogStoring::add_unstored(LogWork& work) {
  uint64_t bytes = 0;
  for (size_t i = entries_.first_unstored(); i < entries_.size(); ++i) {
    if (work.append.size() == kStoreEventsMax || bytes > kStoreBytesMax) break;
    const LogEntries::Entry& entry = entries_[i];
    bytes += entry.record.payload_bytes;
    work.append.push_back({entry.record, entry.payload});
    storing_.push_back(entry.record);
  }
}

void LogStoring::add_fetched(LogWork& work) {
  is_fetching_ = true;
  uint64_t bytes = 0;
  for (size_t i = entries_.index_after(*fetch_after_); i < entries_.size(); ++i) {
    const LogEntries::Entry& entry = entries_[i];
    bytes += entry.record.payload_bytes;
    const bool is_enough = !work.read.empty() && bytes > memory_bytes_max_;
    if (is_enough || !entry.is_stored || entry.payload) break;
    work.read.push_back(entry.record);
  }
  fetching_ = work.read;
}

LogStoring::Outcome LogStoring::finish(LogWorkDone done) {
  is_busy_ = false;
  Outcome outcome{.has_stored = !storing_.empty(), .has_fetched = false};
  if (outcome.has_stored) finish_storing(done);
  if (std::exchange(is_fetching_, false)) {
    finish_fetching(done);
    outcome.has_fetched = !fetch_waits_;
  }
  storing_.clear();
  fetching_.clear();
  return outcome;
}

void LogStoring::finish_storing(LogWorkDone& done) {
  for (size_t i = 0; i < done.offsets.size() && i < storing_.size(); ++i) {
    storing_[i].payload_offset = done.offsets[i];
    entries_.stored(storing_[i]);
    if (entries_.memory_bytes() > memory_bytes_max_) entries_.release(storing_[i].seq);
  }
  if (!done.append_failed) return failure_.reset();
  if (!failure_) log::error("instance log: {}", done.append_failed->message);
  failure_ = {std::move(*done.append_failed), failure_ ? failure_->attempts + 1 : 1};
}

void LogStoring::finish_fetching(LogWorkDone& done) {
  if (!fetching_.empty()) entries_.release_before(fetching_.front().seq, memory_bytes_max_);
  for (size_t i = 0; i < done.read.size() && i < fetching_.size(); ++i) {
    EventRecord& record = fetching_[i];
    Result<std::string> bytes = std::move(done.read[i]);
    if (!bytes.ok()) {
      log::error("instance log: {}", bytes.error().message);
      if (record.kind != EventKind::kEnd) record.kind = EventKind::kStderr;
      bytes = "[instance log] event lost: " + bytes.error().message;
    }
    entries_.bring_back(record, std::make_shared<const std::string>(std::move(bytes).value()));
  }
  fetch_waits_ = done.read_failed.has_value();
  if (!fetch_waits_) fetch_after_.reset();
}

}  // namespace pie::instance
