#include "engine/snapshot/store.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <system_error>

#include "base/log.h"
#include "engine/snapshot/file.h"

namespace pie::engine {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kExtension = ".kv";

uint64_t now_s() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(
                                   std::chrono::system_clock::now().time_since_epoch())
                                   .count());
}

SnapshotInfo info_of(const SnapshotHeader& header) {
  return {.name = header.name,
          .page_count = static_cast<uint32_t>(header.pages.size()),
          .token_count = static_cast<uint32_t>(header.tokens.size()),
          .bytes = header.bytes(),
          .created_s = header.created_s,
          .expires_s = header.expires_s,
          .is_pinned = header.is_pinned};
}

}  // namespace

SnapshotStore::SnapshotStore(fs::path folder, uint64_t user_bytes_max)
    : folder_(std::move(folder)), user_bytes_max_(user_bytes_max) {
  std::error_code failed;
  fs::create_directories(folder_, failed);
  std::vector<fs::path> files;
  for (fs::directory_iterator i(folder_, failed), end; !failed && i != end; i.increment(failed))
    files.push_back(i->path());
  for (const fs::path& file : files) {
    if (file.extension() != kExtension) {
      fs::remove(file, failed);
      continue;
    }
    const Result<SnapshotOpened> opened = open_snapshot(file);
    if (opened.ok()) {
      ::close(opened->file);
      list_file(opened->header);
    } else {
      log::error("engine: {}", opened.error().message);
    }
  }
  {
    const std::lock_guard lock(mutex_);
    drop_expired();
  }
  sweep();
}

SnapshotStore::~SnapshotStore() { sweep(); }

fs::path SnapshotStore::path(const std::string& user, const std::string& name) const {
  ContentHasher hasher;
  hasher.update(fmt::format("{} {} {}", user.size(), user, name));
  return folder_ / (hasher.hash().hex() + std::string(kExtension));
}

Error SnapshotStore::no_such(const std::string& name) const {
  return {ErrorCode::kNotFound,
          fmt::format("[snapshot] got the name '{}', expected one that this user has saved",
                      name.substr(0, 80))};
}

void SnapshotStore::drop(const Key& key) {
  leftovers_.insert(key);
  all_.erase(key);
}

bool SnapshotStore::has_leftovers() const {
  const std::lock_guard lock(mutex_);
  return !leftovers_.empty();
}

/// Only the caller's thread makes files: none comes back meanwhile.
void SnapshotStore::sweep() {
  std::set<Key> gone;
  {
    const std::lock_guard lock(mutex_);
    gone.swap(leftovers_);
  }
  std::error_code ignored;
  for (const auto& [user, name] : gone) fs::remove(path(user, name), ignored);
}

void SnapshotStore::drop_expired() {
  std::vector<Key> gone;
  for (const auto& [key, info] : all_) {
    if (info.expires_s != 0 && info.expires_s <= now_s()) gone.push_back(key);
  }
  for (const Key& key : gone) drop(key);
}

Result<void> SnapshotStore::admit(const std::string& user, const std::string& name,
                                  uint64_t bytes) {
  std::unique_lock lock(mutex_);
  drop_expired();
  const auto unfinished = unfinished_.find(user);
  uint64_t used = unfinished == unfinished_.end() ? 0 : unfinished->second;
  std::vector<std::pair<uint64_t, Key>> unpinned;
  for (auto at = all_.lower_bound({user, ""}); at != all_.end() && at->first.first == user; ++at) {
    const auto& [key, info] = *at;
    if (key.second == name) continue;
    used += info.bytes;
    if (!info.is_pinned) unpinned.emplace_back(info.created_s, key);
  }
  std::sort(unpinned.begin(), unpinned.end());
  uint64_t can_go = 0;
  for (const auto& [created, key] : unpinned) can_go += all_.at(key).bytes;
  if (used - can_go + bytes > user_bytes_max_)
    return Error{ErrorCode::kResourceExhausted,
                 fmt::format("[snapshot] got {} bytes on top of {} pinned, expected at most {} "
                             "allowed for this user",
                             bytes, used - can_go, user_bytes_max_)};
  for (const auto& [created, key] : unpinned) {
    if (used + bytes <= user_bytes_max_) break;
    used -= all_.at(key).bytes;
    drop(key);
  }
  unfinished_[user] += bytes;
  lock.unlock();
  sweep();
  return {};
}

void SnapshotStore::list_file(const SnapshotHeader& header) {
  const Key key{header.user, header.name};
  leftovers_.erase(key);
  all_.insert_or_assign(key, info_of(header));
}

void SnapshotStore::add(const SnapshotHeader& header) {
  const std::lock_guard lock(mutex_);
  uncount(header.user, header.bytes());
  list_file(header);
}

void SnapshotStore::give_up(const std::string& user, uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  uncount(user, bytes);
}

void SnapshotStore::uncount(const std::string& user, uint64_t bytes) {
  const auto at = unfinished_.find(user);
  if (at == unfinished_.end()) return;
  at->second -= std::min(at->second, bytes);
  if (at->second == 0) unfinished_.erase(at);
}

Result<SnapshotInfo> SnapshotStore::find(const std::string& user, const std::string& name) {
  const std::lock_guard lock(mutex_);
  drop_expired();
  const auto found = all_.find({user, name});
  if (found == all_.end()) return no_such(name);
  return found->second;
}

std::vector<SnapshotInfo> SnapshotStore::list(const std::string& user) {
  const std::lock_guard lock(mutex_);
  drop_expired();
  std::vector<SnapshotInfo> list;
  for (auto at = all_.lower_bound({user, ""}); at != all_.end() && at->first.first == user; ++at)
    list.push_back(at->second);
  return list;
}

Result<void> SnapshotStore::remove(const std::string& user, const std::string& name) {
  const std::lock_guard lock(mutex_);
  const Key key{user, name};
  if (!all_.contains(key)) return no_such(name);
  drop(key);
  return {};
}

}  // namespace pie::engine
