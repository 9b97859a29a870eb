#include "server/host_ports.h"

#include "base/guarded.h"

namespace pie::server {
namespace {

/// So many keys are read in one piece of a list: some milliseconds.
constexpr uint32_t kKeysPerPiece = 1'000;

/// A list of keys under way.
struct KeyList {
  std::vector<std::string> keys;
  uint64_t bytes = 0;

  /// Reads on. True: that was all.
  Result<bool> read_more(store::Kvs& kvs, const std::string& user, uint64_t bytes_max) {
    const auto after = keys.empty() ? std::nullopt : std::optional(keys.back());
    PIE_TRY_ASSIGN(auto more, kvs.list_keys(user, after, kKeysPerPiece));
    for (std::string& key : more) {
      bytes += host::kListItemBytes + key.size();
      keys.push_back(std::move(key));
    }
    if (bytes > bytes_max)
      return Error{ErrorCode::kResourceExhausted,
                   "[store-list-keys] got more than " + std::to_string(keys.size()) +
                       " keys, expected at most " + std::to_string(bytes_max) + " bytes of them (" +
                       std::to_string(host::kListItemBytes) +
                       " and its own for each); keep fewer, or ask for them by name"};
    return more.size() < kKeysPerPiece;
  }
};

}  // namespace

template <class T>
void StoreKvs::post(const std::string& user, Done<T> done, std::function<Result<T>()> work) {
  auto posted = queue_.post_once(
      user, [done, work = std::move(work)] { done(guarded("key-value store", work)); },
      cpu_of(user));
  if (!posted.ok()) done(posted.error());
}

void StoreKvs::get(const std::string& user, std::string key,
                   Done<std::optional<std::string>> done) {
  post<std::optional<std::string>>(
      user, std::move(done), [this, user, key = std::move(key)] { return kvs_.get(user, key); });
}

void StoreKvs::set(const std::string& user, std::string key, std::string value, Done<void> done) {
  post<void>(user, std::move(done), [this, user, key = std::move(key), value = std::move(value)] {
    return kvs_.set(user, key, value, user_bytes_max_);
  });
}

void StoreKvs::remove(const std::string& user, std::string key, Done<void> done) {
  post<void>(user, std::move(done), [this, user, key = std::move(key)]() -> Result<void> {
    auto removed = kvs_.remove(user, key);
    if (!removed.ok() && removed.error().code == ErrorCode::kNotFound) return {};
    return removed;
  });
}

void StoreKvs::exists(const std::string& user, std::string key, Done<bool> done) {
  post<bool>(user, std::move(done),
             [this, user, key = std::move(key)] { return kvs_.exists(user, key); });
}

void StoreKvs::list_keys(const std::string& user, uint64_t bytes_max,
                         Done<std::vector<std::string>> done) {
  auto piece = [this, user, bytes_max, done, list = std::make_shared<KeyList>()] {
    const auto is_all =
        guarded("key-value store", [&] { return list->read_more(kvs_, user, bytes_max); });
    if (is_all.ok() && !*is_all) return WorkQueue::Next::kAgain;
    done(is_all.ok() ? Result<std::vector<std::string>>(std::move(list->keys)) : is_all.error());
    return WorkQueue::Next::kDone;
  };
  auto posted = queue_.post(user, std::move(piece), cpu_of(user));
  if (!posted.ok()) done(posted.error());
}

}  // namespace pie::server
