#include "model/format_cache.h"

#include <algorithm>

namespace pie::model {

FormatCache::Format FormatCache::find(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& entry) { return entry.key == key; });
  if (found == entries_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found);
  ++hits_;
  return found->format;
}

void FormatCache::add(const std::string& key, Format format) {
  const size_t bytes = sizeof(Entry) + key.size() + format->parser.size() + format->grammar.size();
  if (bytes > kBytesMax) return;
  std::list<Entry> added, gone;  // allocated and freed without the lock
  added.push_back({key, std::move(format), bytes});
  const std::lock_guard lock(mutex_);
  const auto same = std::find_if(entries_.begin(), entries_.end(),
                                 [&](const Entry& entry) { return entry.key == key; });
  if (same != entries_.end()) return;  // another thread was as fast
  entries_.splice(entries_.begin(), added);
  bytes_ += bytes;
  while (entries_.size() > kEntriesMax || bytes_ > kBytesMax) {
    bytes_ -= entries_.back().bytes;
    gone.splice(gone.begin(), entries_, std::prev(entries_.end()));
  }
}

uint64_t FormatCache::hits() const {
  const std::lock_guard lock(mutex_);
  return hits_;
}

}  // namespace pie::model
