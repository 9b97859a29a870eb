#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "server/config.h"
#include "server/setting.h"

namespace pie::server {

/// Every setting of `config`, in the order of docs and `pie config show`.
std::vector<Setting> settings(Config& config);
/// The known word that is most like `word`.
std::string nearest(std::string_view word, const std::vector<std::string>& known);
/// kInvalidArgument "[config] got the key ..., expected ..." with the nearest known one.
Result<Setting> find_setting(Config& config, std::string_view key);

}  // namespace pie::server
