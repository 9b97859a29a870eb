#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "engine/disk_thread.h"
#include "engine/snapshot/file.h"

namespace pie::engine {

/// A snapshot that is to be read.
struct SnapshotReading {
  std::filesystem::path path;
  std::string layout;                             ///< that its pages must have
  uint32_t number = 0;                            ///< for kv::DiskPage, from then on
  SnapshotHeader header;                          ///< filled in
  std::function<void(const Result<void>&)> done;  ///< called on the disk thread
};

/// Opens the snapshot and reads it all: kNotFound, kCorrupt for damage, kFailedPrecondition for
/// another layout; then its number stands for nothing. In pieces, like SnapshotWriter. From any
/// thread.
void read_snapshot(DiskThread& disk, std::shared_ptr<SnapshotReading> reading);

}  // namespace pie::engine
