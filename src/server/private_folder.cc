#include "server/private_folder.h"

#include <sys/stat.h>

#include <string>
#include <system_error>

#include "base/log.h"

namespace pie::server {
namespace {

namespace fs = std::filesystem;
constexpr fs::perms kOthers = fs::perms::group_all | fs::perms::others_all;

bool is_open(const fs::file_status& status) {
  return (status.permissions() & kOthers) != fs::perms::none;
}

/// Takes from group and others what they may do with the entry. Links are left alone.
void close_to_others(const fs::path& path, std::error_code& failed) {
  const fs::file_status status = fs::symlink_status(path, failed);
  if (failed || fs::is_symlink(status) || !is_open(status)) return;
  fs::permissions(path, kOthers, fs::perm_options::remove, failed);
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
  fs::permissions(folder, kOthers, fs::perm_options::remove, failed);
  if (failed) {
    log::warning("{} can be read by other accounts, and its mode cannot be changed: {}",
                 folder.string(), failed.message());
    return {};
  }
  log::warning("{} could be read by other accounts: it is closed to them now", folder.string());
  std::error_code ended, ignored;
  for (fs::recursive_directory_iterator one(folder, ended), end; !ended && one != end;
       one.increment(ended))
    close_to_others(one->path(), ignored);
  return {};
}

}  // namespace pie::server
