#pragma once
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "server/config.h"

namespace pie::server {

/// One thing that config.toml, the environment and `pie config` can say: the one list that reading,
/// showing and checking go by.
struct Setting {
  using Texts = std::vector<std::string>;
  using Place = std::variant<std::string*, std::filesystem::path*, bool*, uint16_t*, uint32_t*,
                             uint64_t*, Texts*>;
  std::string_view section;  ///< "", "limits" or "client"
  std::string_view name;
  Place place;  ///< in the Config that the list was made for
  std::string_view help;
  uint64_t least = 0;  ///< of numbers
  uint64_t most = std::numeric_limits<int64_t>::max();

  /// "port", "limits.handles_max".
  std::string key() const;
  /// PIE_PORT, PIE_LIMITS_HANDLES_MAX.
  std::string variable() const;
  /// The value as TOML: 8080, true, "text".
  std::string toml() const;
  /// The number, text or path as it is, without quotes; the texts of a list with commas between.
  std::string plain() const;
  /// What a value must be: "a number from 0 to 65535", "true or false", "text".
  std::string expected() const;
  /// Takes a value as the environment or the command line gives it; a list's texts have commas
  /// between them. kInvalidArgument.
  Result<void> set(std::string_view text);
};

/// Every setting of `config`, in the order of docs and `pie config show`.
std::vector<Setting> settings(Config& config);
/// The known word that is most like `word`.
std::string nearest(std::string_view word, const std::vector<std::string>& known);
/// kInvalidArgument "[config] got the key ..., expected ..." with the nearest known one.
Result<Setting> find_setting(Config& config, std::string_view key);

/// The text of a config.toml with every setting as a comment, with its default and what it means.
std::string initial_config_text();
/// `text` with one setting changed or added; comments and other lines stay. The value is checked.
Result<std::string> change_config_text(std::string text, std::string_view key,
                                       std::string_view value);

}  // namespace pie::server
