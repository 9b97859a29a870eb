#include "server/private_folder.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <system_error>

#include "base/log.h"

namespace pie::server {
namespace {

namespace fs = std::filesystem;
constexpr fs::perms kOthers = fs::perms::group_all | fs::perms::others_all;

bool is_open(const fs::file_status& status) {
  return (status.permissions() & kOthers) != fs::perms::none;
}

/// What a server keeps in its home. Whatever else lies there is somebody's, and stays as it is.
constexpr std::array<std::string_view, 12> kOwn = {"authorized_users.toml",
                                                   "cache",
                                                   "config.toml",
                                                   "instances",
                                                   "models",
                                                   "pie.db",
                                                   "pie.db-shm",
                                                   "pie.db-wal",
                                                   "programs",
                                                   "registry",
                                                   "run",
                                                   "snapshots"};

bool is_own(const fs::path& entry) {
  return std::find(kOwn.begin(), kOwn.end(), entry.filename().string()) != kOwn.end();
}

/// Whether the folder is ours alone, or empty.
bool is_ours(const fs::path& folder, std::error_code& failed) {
  for (fs::directory_iterator one(folder, failed), end; !failed && one != end;
       one.increment(failed))
    if (!is_own(one->path())) return false;
  return !failed;
}

/// Takes from group and others what they may do with the entry. Links are left alone.
void close_to_others(const fs::path& path, std::error_code& failed) {
  const fs::file_status status = fs::symlink_status(path, failed);
  if (failed || fs::is_symlink(status) || !is_open(status)) return;
  fs::permissions(path, kOthers, fs::perm_options::remove, failed);
}

/// The entry and all that is in it.
void close_tree(const fs::path& entry) {
  std::error_code ended, ignored;
  close_to_others(entry, ignored);
  if (fs::is_symlink(fs::symlink_status(entry, ignored))) return;
  for (fs::recursive_directory_iterator one(entry, ended), end; !ended && one != end;
       one.increment(ended))
    close_to_others(one->path(), ignored);
}

}  // namespace

Result<void> make_private_folder(const fs::path& folder) {
  ::umask(077);
  std::error_code failed;
  fs::create_directories(folder, failed);
  const fs::file_status status = failed ? fs::file_status() : fs::status(folder, failed);
  if (failed)
    return Error{ErrorCode::kPermissionDenied, "[PIE_HOME] got '" + failed.message() + "' for " +
                                                   folder.string() +
                                                   ", expected a folder that can be written"};
  if (!is_open(status)) return {};
  const bool is_alone = is_ours(folder, failed);
  if (is_alone) fs::permissions(folder, kOthers, fs::perm_options::remove, failed);
  if (failed)
    log::warning("{} can be read by other accounts, and its mode cannot be changed: {}",
                 folder.string(), failed.message());
  else
    log::warning("{} could be read by other accounts: {} closed to them now", folder.string(),
                 is_alone ? "it is" : "what is Pie's in it is");
  for (const std::string_view name : kOwn) close_tree(folder / name);
  return {};
}

}  // namespace pie::server
