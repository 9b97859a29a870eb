#pragma once
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

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

}  // namespace pie::server
