#include "cli/config_file.h"

#include <string>
#include <system_error>
#include <utility>

#include "base/file.h"
#include "server/config.h"
#include "server/config_text.h"
#include "server/settings.h"

namespace pie::cli {

std::filesystem::path config_file_of_home() {
  const auto home = server::default_home();
  std::error_code ignored;
  std::filesystem::create_directories(home, ignored);
  return server::config_file(home);
}

Result<void> change_config_file(std::string_view key, std::string_view value) {
  const auto file = config_file_of_home();
  auto text = read_file(file);
  if (!text.ok() && text.error().code != ErrorCode::kNotFound) return std::move(text).error();
  const std::string before = text.ok() ? *text : "";
  server::Config scratch;
  server::Origins origins;
  PIE_TRY(server::read_config_text(file, before, scratch, origins));
  PIE_TRY_ASSIGN(const std::string after, server::change_config_text(before, key, value));
  if (auto done = server::read_config_text(file, after, scratch, origins); !done.ok())
    return Error{ErrorCode::kInvalidArgument,
                 "[" + file.string() +
                     "] got tables that are spelt in another way than [limits] or [client]; "
                     "set this one by hand (nothing was changed)"};
  return write_file_atomically(file, after);
}

}  // namespace pie::cli
