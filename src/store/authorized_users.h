#pragma once
#include <sys/stat.h>

#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/work_queue.h"
#include "crypto/public_key.h"

namespace pie::store {

/// Users and their keys as authorized_users.toml says them: user -> key name -> key text.
using UserKeys = std::map<std::string, std::map<std::string, std::string>>;

/// Reads `[users.NAME.keys]` tables; an absent file has no users. kInvalidArgument names the file,
/// the line and what is wrong.
Result<UserKeys> read_authorized_users(const std::filesystem::path& file);
/// Replaces the file (mode 0600) at once.
Result<void> write_authorized_users(const std::filesystem::path& file, const UserKeys& users);

/// What `pie auth` does, safe against another one that runs at the same time.
/// Adds the keys of a text (crypto::PublicKey::parse_all()), all or none; "" as `key_name` makes
/// names ("key1", ...), a name takes one key alone. Returns the names in the order of the text; a
/// key that the user has keeps its own. kAlreadyExists when the user has another key of that name;
/// a text with a key that is no use is refused with the reason.
Result<std::vector<std::string>> add_user_keys(const std::filesystem::path& file,
                                               const std::string& user, const std::string& key_name,
                                               const std::string& key_text);
/// Removes a key, or the whole user without `key_name`. kNotFound.
Result<void> remove_user_key(const std::filesystem::path& file, const std::string& user,
                             const std::optional<std::string>& key_name);

/// The users of a running server. A change of the file holds from the next question on; a file that
/// got damaged changes nothing and is reported in the log. Thread-safe; keys_of() waits for
/// nothing.
class AuthorizedUsers {
 public:
  explicit AuthorizedUsers(std::filesystem::path file) : file_(std::move(file)) {}
  /// The first reading: its errors are the caller's. Readable by others = mended with a warning.
  Result<void> load();
  /// The keys of a user that are of use; those that are not are reported in the log once a reading.
  /// `done` comes once, from a thread of this object's.
  void keys_of(const std::string& user,
               std::function<void(Result<std::vector<crypto::PublicKey>>)> done);
  size_t user_count();

 private:
  Result<void> read_locked();
  void refresh_locked();

  const std::filesystem::path file_;
  std::mutex mutex_;
  struct stat seen_{};
  std::map<std::string, std::vector<crypto::PublicKey>> keys_;
  WorkQueue queue_{{.name = "users"}};  ///< last: its thread uses what stands above
};

}  // namespace pie::store
