#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "ports/log_storage.h"

namespace pie::store {

/// An append-only file of events. What append() wrote survives the death of the process; a record
/// that was cut off by it is dropped at the next opening. The file comes into being with the first
/// event and shrinks to nothing when everything in a large one has been delivered. A descriptor is
/// held from the first access until release() alone, so that logs may be many.
/// kResourceExhausted: no room on the disk, no descriptor or memory; kInternal: other failures.
/// Not thread-safe.
///
/// Layout, little-endian, one after the other: u32 magic, u8 type (1 event, 2 delivered), u8 kind,
/// u8 code, u8 0, u64 seq, u32 payload bytes, u32 FNV-1a of the header before it; payload. The kind
/// of a "delivered" is that of the last event, when that is delivered too.
class InstanceLogFile {
 public:
  static Result<std::unique_ptr<InstanceLogFile>> open(const std::filesystem::path& path);
  /// The file of a new log, which is not there yet. Waits for nothing.
  static std::unique_ptr<InstanceLogFile> create(const std::filesystem::path& path);
  ~InstanceLogFile();
  InstanceLogFile(const InstanceLogFile&) = delete;
  InstanceLogFile& operator=(const InstanceLogFile&) = delete;

  /// What the file held when it was opened: events not marked as delivered, in order.
  const std::vector<EventRecord>& records() const { return records_; }
  std::vector<EventRecord> take_records() { return std::exchange(records_, {}); }
  uint64_t last_seq() const { return last_seq_; }

  /// Returns the payload's offset.
  Result<uint64_t> append(const EventRecord& record, std::string_view payload);
  Result<std::string> read(uint64_t payload_offset, uint32_t payload_bytes);
  /// Events up to `seq` need not be kept.
  Result<void> mark_delivered(uint64_t seq);
  /// The final event was marked as delivered, when the file was opened.
  bool is_end_delivered() const { return is_end_delivered_; }
  /// Closes the file until the next access.
  void release();

 private:
  /// A header, but for its payload's size.
  struct Entry {
    uint8_t type = 0;
    uint8_t kind = 0;
    uint8_t code = 0;
    uint64_t seq = 0;
  };
  explicit InstanceLogFile(std::filesystem::path path) : path_(std::move(path)) {}
  Result<void> load();
  /// Opens the file, unless it is; with `flags` beside O_RDWR.
  Result<void> access(int flags);
  Result<void> replace_by_marker(const Entry& marker);
  Result<uint64_t> write(const Entry& entry, std::string_view payload);

  std::filesystem::path path_;
  int fd_ = -1;
  uint64_t size_ = 0;
  uint64_t last_seq_ = 0;
  uint8_t last_kind_ = 0;
  bool is_end_delivered_ = false;
  std::vector<EventRecord> records_;
};

}  // namespace pie::store
