#include "engine/snapshot/reader.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "engine/snapshot/writer.h"

namespace pie::engine {
namespace {

Result<void> open_file(DiskThread& disk, SnapshotReading& reading) {
  PIE_TRY_ASSIGN(SnapshotOpened opened, open_snapshot(reading.path));
  const SnapshotHeader& header = opened.header;
  if (header.layout != reading.layout || header.page_bytes != disk.page_bytes()) {
    ::close(opened.file);
    return Error{ErrorCode::kFailedPrecondition,
                 fmt::format("[snapshot] got pages of '{}', expected '{}': it was saved with "
                             "another model, executor or page size",
                             header.layout, reading.layout)};
  }
  PageFile file{opened.file, opened.first_page, {}};
  for (const auto& hash : header.pages) {
    if (hash) file.hashes.push_back(*hash);
  }
  disk.add_file(reading.number, std::move(file));
  reading.header = std::move(opened.header);
  return {};
}

/// Reads a piece of the pages; the next one after what others wait for.
void check_pages(DiskThread& disk, const std::shared_ptr<SnapshotReading>& reading, size_t first) {
  const size_t count = disk.page_count(reading->number);
  const size_t piece = std::max<size_t>(1, kSnapshotPieceBytes / disk.page_bytes());
  const size_t end = std::min(count, first + piece);
  for (size_t page = first; page < end; ++page) {
    const kv::DiskPage source{reading->number, static_cast<uint32_t>(page)};
    const auto is_whole = disk.read({.page = {}, .disk = source});
    if (is_whole.ok()) continue;
    disk.close_file(reading->number);
    return reading->done(is_whole.error());
  }
  if (end == count) return reading->done({});
  disk.run([&disk, reading, end] { check_pages(disk, reading, end); });
}

}  // namespace

void read_snapshot(DiskThread& disk, std::shared_ptr<SnapshotReading> reading) {
  disk.run([&disk, reading = std::move(reading)] {
    const Result<void> opened = open_file(disk, *reading);
    if (!opened.ok()) return reading->done(opened);
    check_pages(disk, reading, 0);
  });
}

}  // namespace pie::engine
