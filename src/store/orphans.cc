#include "store/orphans.h"

#include <system_error>
#include <vector>

namespace pie::store {

namespace fs = std::filesystem;

void remove_others(const fs::path& folder, const std::set<fs::path>& known) {
  std::error_code ignored;
  std::vector<fs::path> others;
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    if (!known.contains(entry.path())) others.push_back(entry.path());
  for (const auto& path : others) fs::remove(path, ignored);
}

}  // namespace pie::store
