#include "host/program_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace pie::host {
namespace {

/// What an entry takes beside its key and value.
constexpr uint64_t kEntryBytes = 512;

Result<void> check(const char* what, uint64_t bytes, uint64_t bytes_max) {
  if (bytes <= bytes_max) return {};
  return Error{
      ErrorCode::kInvalidArgument,
      fmt::format("[cache] got a {} of {} bytes, expected at most {}", what, bytes, bytes_max)};
}

}  // namespace

ProgramCache::Value ProgramCache::load(const std::string& user, const std::string& program,
                                       std::string_view key) {
  const std::lock_guard lock(mutex_);
  const auto found = by_key_.find(Key{user, program, std::string(key)});
  if (found == by_key_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->value;
}

Result<void> ProgramCache::store(const std::string& user, const std::string& program,
                                 std::string_view key, std::string value,
                                 const std::shared_ptr<Quota>& memory) {
  PIE_TRY(check("key", key.size(), kKeyBytesMax));
  PIE_TRY(check("value", value.size(), kValueBytesMax));
  const uint64_t bytes = kEntryBytes + user.size() + program.size() + 2 * key.size() + value.size();
  const bool is_removal = value.empty();
  auto shared = std::make_shared<const std::string>(std::move(value));
  Key name{user, program, std::string(key)};
  const std::lock_guard lock(mutex_);
  if (const auto old = by_key_.find(name); old != by_key_.end()) remove(old->second);
  if (is_removal) return {};
  const uint64_t bytes_max = std::min(limits_.user_bytes_max, limits_.total_bytes_max);
  if (bytes > bytes_max)
    return Error{ErrorCode::kResourceExhausted,
                 fmt::format("[cache] got {} bytes, expected at most {}", bytes, bytes_max)};
  while (bytes_of(user) + bytes > limits_.user_bytes_max && remove_oldest(user)) continue;
  while (total_bytes_ + bytes > limits_.total_bytes_max && remove_oldest()) continue;
  Holding held(memory);
  while (!held.take(bytes))
    if (!remove_oldest(user))
      return Error{ErrorCode::kResourceExhausted, "[cache] got no room: " + held.refusal(bytes)};
  user_bytes_[user] += bytes;
  total_bytes_ += bytes;
  entries_.push_front({name, std::move(shared), bytes, std::move(held)});
  by_key_.emplace(std::move(name), entries_.begin());
  return {};
}

uint64_t ProgramCache::bytes_of(const std::string& user) const {
  const auto found = user_bytes_.find(user);
  return found == user_bytes_.end() ? 0 : found->second;
}

void ProgramCache::remove(Entries::iterator entry) {
  const auto user = user_bytes_.find(std::get<0>(entry->key));
  total_bytes_ -= entry->bytes;
  user->second -= entry->bytes;
  if (user->second == 0) user_bytes_.erase(user);
  by_key_.erase(entry->key);
  entries_.erase(entry);
}

bool ProgramCache::remove_oldest(const std::string& user) {
  for (auto entry = entries_.end(); entry != entries_.begin();) {
    if (std::get<0>((--entry)->key) != user) continue;
    remove(entry);
    return true;
  }
  return false;
}

bool ProgramCache::remove_oldest() {
  if (entries_.empty()) return false;
  remove(std::prev(entries_.end()));
  return true;
}

}  // namespace pie::host
