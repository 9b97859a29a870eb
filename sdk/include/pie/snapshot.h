#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pie/model.h"
#include "pie/result.h"

namespace inferlet {

/// How long a snapshot is kept.
struct SnapshotOptions {
  std::chrono::seconds ttl{0};  ///< 0: until it is removed
  bool pinned = false;          ///< does not go when the user's room on disk is short
};

struct SnapshotEntry {
  std::string name;
  uint32_t pages, tokens;
  uint64_t bytes;
  std::chrono::seconds left;  ///< 0: it has no end
  bool pinned;
};

// A context saves and loads itself: Context::save, Context::load.

Result<std::vector<SnapshotEntry>> list_snapshots(const Queue& queue);
Result<void> remove_snapshot(const Queue& queue, std::string_view name);

}  // namespace inferlet
