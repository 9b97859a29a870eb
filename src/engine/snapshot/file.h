#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/content_hash.h"
#include "base/result.h"

namespace pie::engine {

/// What a snapshot file says of itself before its pages.
struct SnapshotHeader {
  std::string layout;      ///< exec::Executor::layout_id() of who wrote it
  std::string user, name;  ///< whose it is
  uint64_t created_s = 0;  ///< since 1970
  uint64_t expires_s = 0;  ///< 0: never
  bool is_pinned = false;
  uint32_t last_page_len = 0;
  std::vector<uint32_t> tokens;  ///< the program's; not looked at
  uint64_t page_bytes = 0;
  std::vector<std::optional<ContentHash>> pages;  ///< none: nothing was ever written to it

  uint64_t stored_page_count() const;
  /// The file's size.
  uint64_t bytes() const;
};

/// A header that was read, and where the pages begin.
struct SnapshotOpened {
  SnapshotHeader header;
  uint64_t first_page = 0;
  int file = -1;  ///< open for reading; the caller's to close
};

/// Magic, header, its hash; the pages follow, only those that have a hash.
std::string snapshot_head(const SnapshotHeader& header);
/// kNotFound, or kCorrupt ("[snapshot] got ..., expected ...") for anything but a whole header.
Result<SnapshotOpened> open_snapshot(const std::filesystem::path& path);

}  // namespace pie::engine
