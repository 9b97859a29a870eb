#include "base/user_name.h"

#include <algorithm>

namespace pie {

bool is_user_name(std::string_view name) {
  constexpr size_t kBytesMax = 256;
  return !name.empty() && name.size() <= kBytesMax && name != kInternalUser &&
         std::none_of(name.begin(), name.end(),
                      [](unsigned char c) { return c < 0x20 || c == 0x7F; });
}

}  // namespace pie
