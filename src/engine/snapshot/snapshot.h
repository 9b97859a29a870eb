#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

namespace pie::engine {

/// A context that is to be kept on disk under a name of the instance's user.
struct SnapshotRequest {
  std::string name;
  std::vector<uint32_t> pages;   ///< pointers, the whole sequence
  uint32_t last_page_len = 0;    ///< tokens in the last one
  std::vector<uint32_t> tokens;  ///< for the program that loads it; not looked at
  uint64_t ttl_s = 0;            ///< it goes after so long; 0: never
  bool is_pinned = false;        ///< it does not go to make room for others
};

struct SnapshotInfo {
  std::string name;
  uint32_t page_count = 0, token_count = 0;
  uint64_t bytes = 0;
  uint64_t created_s = 0, expires_s = 0;  ///< since 1970; 0: never
  bool is_pinned = false;
};

struct LoadedSnapshot {
  std::vector<uint32_t> pages;  ///< new pointers
  uint32_t last_page_len = 0;
  std::vector<uint32_t> tokens;
};

using SnapshotSaved = std::function<void(Result<void>)>;
using SnapshotLoaded = std::function<void(Result<LoadedSnapshot>)>;

}  // namespace pie::engine
