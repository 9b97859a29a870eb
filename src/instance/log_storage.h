#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "instance/event.h"

namespace pie::instance {

/// Where a log outlives the process. Every call may wait for a disk. One call at a time.
/// kResourceExhausted: no room, no descriptor, no memory; the same may work later.
class LogStorage {
 public:
  /// An event on the disk: `payload_offset` is the storage's own.
  struct Record {
    uint64_t seq = 0;
    EventKind kind = EventKind::kStdout;
    EndCode end = EndCode::kCompleted;
    uint64_t payload_offset = 0;
    uint32_t payload_bytes = 0;
  };

  virtual ~LogStorage() = default;
  /// Appends an event so that it survives the death of this process. Returns its payload's offset.
  virtual Result<uint64_t> append(const Record& record, std::string_view payload) = 0;
  virtual Result<std::string> read(uint64_t payload_offset, uint32_t payload_bytes) = 0;
  /// Events up to `seq` need not be kept. The offsets of later ones stay valid.
  virtual void delivered(uint64_t seq) = 0;
  /// Nothing more for now: gives back what is open. The next call takes it again.
  virtual void rest() = 0;
};

}  // namespace pie::instance
