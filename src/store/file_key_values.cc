#include "store/file_key_values.h"

#include "base/guarded.h"
#include "store/asked_work.h"

namespace pie::store {
namespace {

constexpr const char* kWhat = "key-value store";
/// So many keys are read in one piece of a list: some milliseconds.
constexpr uint32_t kKeysPerPiece = 1'000;

/// A list of keys under way.
struct KeyList {
  std::vector<std::string> keys;
  uint64_t bytes = 0;

  /// Reads on. True: that was all.
  Result<bool> read_more(KeyValueTable& table, const std::string& user, uint64_t bytes_max) {
    const auto after = keys.empty() ? std::nullopt : std::optional(keys.back());
    PIE_TRY_ASSIGN(auto more, table.list_keys(user, after, kKeysPerPiece));
    for (std::string& key : more) {
      bytes += KeyValues::kListedKeyBytes + key.size();
      keys.push_back(std::move(key));
    }
    if (bytes > bytes_max)
      return Error{ErrorCode::kResourceExhausted,
                   "[store-list-keys] got more than " + std::to_string(keys.size()) +
                       " keys, expected at most " + std::to_string(bytes_max) + " bytes of them (" +
                       std::to_string(KeyValues::kListedKeyBytes) +
                       " and its own for each); keep fewer, or ask for them by name"};
    return more.size() < kKeysPerPiece;
  }
};

}  // namespace

void FileKeyValues::get(const std::string& user, std::string key,
                        Done<std::optional<std::string>> done) {
  ask<std::optional<std::string>>(
      queue_, user, kWhat, std::move(done),
      [this, user, key = std::move(key)] { return table_.get(user, key); }, cpu_of(user));
}

void FileKeyValues::set(const std::string& user, std::string key, std::string value,
                        Done<void> done) {
  ask<void>(
      queue_, user, kWhat, std::move(done),
      [this, user, key = std::move(key), value = std::move(value)] {
        return table_.set(user, key, value, user_bytes_max_);
      },
      cpu_of(user));
}

void FileKeyValues::remove(const std::string& user, std::string key, Done<void> done) {
  ask<void>(
      queue_, user, kWhat, std::move(done),
      [this, user, key = std::move(key)] { return table_.remove(user, key); }, cpu_of(user));
}

void FileKeyValues::exists(const std::string& user, std::string key, Done<bool> done) {
  ask<bool>(
      queue_, user, kWhat, std::move(done),
      [this, user, key = std::move(key)] { return table_.exists(user, key); }, cpu_of(user));
}

void FileKeyValues::list_keys(const std::string& user, uint64_t bytes_max,
                              Done<std::vector<std::string>> done) {
  auto piece = [this, user, bytes_max, done, list = std::make_shared<KeyList>()] {
    const auto is_all = guarded(kWhat, [&] { return list->read_more(table_, user, bytes_max); });
    if (is_all.ok() && !*is_all) return WorkQueue::Next::kAgain;
    done(is_all.ok() ? Result<std::vector<std::string>>(std::move(list->keys)) : is_all.error());
    return WorkQueue::Next::kDone;
  };
  auto posted = queue_.post(user, std::move(piece), cpu_of(user));
  if (!posted.ok()) done(posted.error());
}

}  // namespace pie::store
