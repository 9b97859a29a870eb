#include "store/authorized_users.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include <sstream>

#include "base/file.h"
#include "base/log.h"
#include "base/toml_text.h"
#include "base/user_name.h"
#include "store/asked_work.h"

namespace pie::store {
namespace {

namespace fs = std::filesystem;

constexpr size_t kKeysPerUserMax = 64;

Error wrong(const fs::path& file, const toml::source_region& where, std::string_view what) {
  std::ostringstream out;
  out << "[" << file.string() << " line " << where.begin.line << "] " << what;
  return {ErrorCode::kInvalidArgument, out.str()};
}

bool is_key_name(std::string_view name) { return is_user_name(name) || name == kInternalUser; }

Result<std::map<std::string, std::string>> read_keys(const fs::path& file,
                                                     const toml::table& user) {
  std::map<std::string, std::string> keys;
  for (const auto& [section, node] : user) {
    const auto* table = node.as_table();
    if (!table || section.str() != "keys")
      return wrong(file, node.source(),
                   "got '" + std::string(section.str()) + "', expected a table 'keys'");
    for (const auto& [name, key] : *table) {
      if (!key.is_string())
        return wrong(file, key.source(),
                     "got something else for the key '" + std::string(name.str()) +
                         "', expected its text, \"ssh-ed25519 AAAA...\"");
      keys.emplace(name.str(), key.as_string()->get());
    }
  }
  return keys;
}

/// Keeps two editors apart: an flock(2) on the folder of the file.
class EditLock {
 public:
  explicit EditLock(const fs::path& file)
      : fd_(::open(file.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (fd_ >= 0) ::flock(fd_, LOCK_EX);
  }
  ~EditLock() {
    if (fd_ >= 0) ::close(fd_);
  }
  EditLock(const EditLock&) = delete;
  EditLock& operator=(const EditLock&) = delete;

 private:
  int fd_;
};

/// Gives a user one more key; the name is made where none is given. Returns the key's name.
Result<std::string> name_key(const std::string& user, std::map<std::string, std::string>& keys,
                             std::string name, const std::string& line) {
  for (const auto& [other_name, other] : keys)
    if (other == line && (name.empty() || other_name == name)) return other_name;
  if (keys.size() >= kKeysPerUserMax)
    return Error{ErrorCode::kResourceExhausted, "[keys of '" + user + "'] got one more than " +
                                                    std::to_string(kKeysPerUserMax) +
                                                    ", expected fewer; remove one first"};
  for (int i = 1; name.empty(); ++i)
    if (!keys.contains("key" + std::to_string(i))) name = "key" + std::to_string(i);
  if (!keys.emplace(name, line).second)
    return Error{ErrorCode::kAlreadyExists,
                 "[keys of '" + user + "'] got '" + name +
                     "', which is another key's name; choose another one or remove it first"};
  return name;
}

}  // namespace

Result<UserKeys> read_authorized_users(const fs::path& file) {
  UserKeys users;
  auto text = read_file(file);
  if (!text.ok() && text.error().code == ErrorCode::kNotFound) return users;
  if (!text.ok()) return std::move(text).error();
  const auto ascii = ascii_toml(*text);
  if (!ascii.ok())
    return Error{ErrorCode::kInvalidArgument, "[" + file.string() + "] " + ascii.error().message};
  const toml::parse_result parsed = toml::parse(*ascii, file.string());
  if (!parsed)
    return wrong(file, parsed.error().source(),
                 "got: " + std::string(parsed.error().description()));
  for (const auto& [top, node] : parsed.table()) {
    const auto* table = node.as_table();
    if (!table || top.str() != "users")
      return wrong(file, node.source(),
                   "got '" + std::string(top.str()) + "', expected tables [users.NAME.keys]");
    for (const auto& [name, user] : *table) {
      if (!is_user_name(name.str()))
        return wrong(file, user.source(),
                     "got the user '" + std::string(name.str()) +
                         "', expected 1 to 256 bytes without control characters, not 'internal'");
      if (!user.is_table())
        return wrong(file, user.source(), "got something else for a user, expected a table");
      PIE_TRY_ASSIGN(users[std::string(name.str())], read_keys(file, *user.as_table()));
    }
  }
  return users;
}

Result<void> write_authorized_users(const fs::path& file, const UserKeys& users) {
  std::string text =
      "# Who may use this server, and with which keys. `pie auth` edits it; a running server "
      "notices.\n";
  for (const auto& [user, keys] : users) {
    text += "\n[users." + toml_string(user) + ".keys]\n";
    for (const auto& [name, key] : keys)
      text += toml_string(name) + " = " + toml_string(key) + "\n";
  }
  return write_file_atomically(file, text, 0600);
}

Result<std::vector<std::string>> add_user_keys(const fs::path& file, const std::string& user,
                                               const std::string& key_name,
                                               const std::string& key_text) {
  if (!is_user_name(user))
    return Error{ErrorCode::kInvalidArgument,
                 "[user] got '" + user +
                     "', expected 1 to 256 bytes without control characters, not 'internal'"};
  if (!key_name.empty() && !is_key_name(key_name))
    return Error{
        ErrorCode::kInvalidArgument,
        "[key name] got '" + key_name + "', expected 1 to 256 bytes without control characters"};
  PIE_TRY_ASSIGN(const auto added, crypto::PublicKey::parse_all(key_text));
  if (!key_name.empty() && added.size() > 1)
    return Error{ErrorCode::kInvalidArgument,
                 "[key name] got '" + key_name + "' for " + std::to_string(added.size()) +
                     " keys, expected one key (without a name they are key1, key2, ...)"};
  const EditLock lock(file);
  PIE_TRY_ASSIGN(UserKeys users, read_authorized_users(file));
  std::vector<std::string> names;
  for (const crypto::PublicKey& key : added) {
    PIE_TRY_ASSIGN(std::string name, name_key(user, users[user], key_name, key.openssh_line()));
    names.push_back(std::move(name));
  }
  PIE_TRY(write_authorized_users(file, users));
  return names;
}

Result<void> remove_user_key(const fs::path& file, const std::string& user,
                             const std::optional<std::string>& key_name) {
  const EditLock lock(file);
  PIE_TRY_ASSIGN(UserKeys users, read_authorized_users(file));
  const auto found = users.find(user);
  if (found == users.end())
    return Error{ErrorCode::kNotFound,
                 "[user] got '" + user + "', expected one that `pie auth list` shows"};
  if (key_name && found->second.erase(*key_name) == 0)
    return Error{ErrorCode::kNotFound, "[key name] got '" + *key_name +
                                           "', expected one that `pie auth list` shows for '" +
                                           user + "'"};
  if (!key_name || found->second.empty()) users.erase(found);
  return write_authorized_users(file, users);
}

Result<void> AuthorizedUsers::load() {
  const std::lock_guard lock(mutex_);
  return read_locked();
}

Result<void> AuthorizedUsers::read_locked() {
  struct stat now{};
  if (::stat(file_.c_str(), &now) != 0) now = {};
  seen_ = now;
  if ((now.st_mode & 077) != 0) {
    log::warning("{} could be read or written by others: its mode is 0600 now", file_.string());
    ::chmod(file_.c_str(), 0600);
    ::stat(file_.c_str(), &seen_);
  }
  auto read = read_authorized_users(file_);
  // Not the file's fault: the next question reads it again.
  if (!read.ok() && read.error().code == ErrorCode::kResourceExhausted) seen_ = {};
  PIE_TRY_ASSIGN(const UserKeys users, std::move(read));
  std::map<std::string, std::vector<crypto::PublicKey>> keys;
  for (const auto& [user, texts] : users) {
    for (const auto& [name, text] : texts) {
      auto key = crypto::PublicKey::parse(text);
      if (key.ok() && keys[user].size() < kKeysPerUserMax) {
        keys[user].push_back(std::move(key).value());
      } else {
        log::warning("{}: the key '{}' of '{}' is not used: {}", file_.string(), name, user,
                     key.ok() ? "the user has too many" : key.error().message);
      }
    }
  }
  keys_ = std::move(keys);
  return {};
}

void AuthorizedUsers::refresh_locked() {
  struct stat now{};
  if (::stat(file_.c_str(), &now) != 0) now = {};
  const bool is_same = now.st_ino == seen_.st_ino && now.st_size == seen_.st_size &&
                       now.st_mtim.tv_sec == seen_.st_mtim.tv_sec &&
                       now.st_mtim.tv_nsec == seen_.st_mtim.tv_nsec;
  if (is_same) return;
  if (const auto done = read_locked(); !done.ok())
    log::error("{}; the users are those from before", done.error().message);
}

void AuthorizedUsers::keys_of(const std::string& user,
                              std::function<void(Result<std::vector<crypto::PublicKey>>)> done) {
  using Keys = std::vector<crypto::PublicKey>;
  ask<Keys>(queue_, user, "users", std::move(done), [this, user]() -> Result<Keys> {
    const std::lock_guard lock(mutex_);
    refresh_locked();
    const auto found = keys_.find(user);
    return found == keys_.end() ? Keys() : found->second;
  });
}

size_t AuthorizedUsers::user_count() {
  const std::lock_guard lock(mutex_);
  refresh_locked();
  return keys_.size();
}

}  // namespace pie::store
