#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace pie::store {

/// One event in a log file; kind and code are the caller's.
struct LogRecord {
  uint64_t seq = 0;
  uint8_t kind = 0;
  uint8_t code = 0;
  uint64_t payload_offset = 0;
  uint32_t payload_bytes = 0;
  bool operator==(const LogRecord&) const = default;
};

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
  ~InstanceLogFile();
  InstanceLogFile(const InstanceLogFile&) = delete;
  InstanceLogFile& operator=(const InstanceLogFile&) = delete;

  /// What the file held when it was opened: events not marked as delivered, in order.
  const std::vector<LogRecord>& records() const { return records_; }
  std::vector<LogRecord> take_records() { return std::exchange(records_, {}); }
  uint64_t last_seq() const { return last_seq_; }

  /// Returns the payload's offset.
  Result<uint64_t> append(LogRecord record, std::string_view payload);
  Result<std::string> read(uint64_t payload_offset, uint32_t payload_bytes);
  /// Events up to `seq` need not be kept.
  Result<void> mark_delivered(uint64_t seq);
  /// The kind of the last event of all, when it was marked as delivered; 0 otherwise.
  uint8_t delivered_kind() const { return delivered_kind_; }
  /// Closes the file until the next access.
  void release();

 private:
  explicit InstanceLogFile(std::filesystem::path path) : path_(std::move(path)) {}
  Result<void> load();
  /// Opens the file, unless it is; with `flags` beside O_RDWR.
  Result<void> access(int flags);
  Result<void> replace_by_marker(const LogRecord& marker);
  Result<uint64_t> write(uint8_t type, const LogRecord& record, std::string_view payload);

  std::filesystem::path path_;
  int fd_ = -1;
  uint64_t size_ = 0;
  uint64_t last_seq_ = 0;
  uint8_t last_kind_ = 0;
  uint8_t delivered_kind_ = 0;
  std::vector<LogRecord> records_;
};

}  // namespace pie::store
