#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "ports/end.h"

namespace pie {

/// What an instance said; the order of one log is the order in which it happened. The numbers are
/// those of stored logs.
enum class EventKind : uint8_t {
  kStdout = 1,   ///< text, valid UTF-8
  kStderr = 2,   ///< text, valid UTF-8
  kMessage = 3,  ///< text
  kBlob = 4,     ///< bytes
  kEnd = 5,      ///< text; the last event of a log, with an EndKind
};

/// An event as its log's storage knows it; `payload_offset` is the storage's own.
struct EventRecord {
  uint64_t seq = 0;  ///< 1, 2, ... within one log
  EventKind kind = EventKind::kStdout;
  EndKind end = EndKind::kCompleted;  ///< of kEnd
  uint64_t payload_offset = 0;
  uint32_t payload_bytes = 0;

  bool operator==(const EventRecord&) const = default;
};

/// What a log's storage is to do, in this order.
struct LogWork {
  struct Append {
    EventRecord record;
    std::shared_ptr<const std::string> payload;
  };
  std::vector<Append> append;         ///< in order; each survives the death of this process
  std::optional<uint64_t> delivered;  ///< events up to this one need not be kept
  std::vector<EventRecord> read;
};

/// What came of it. kResourceExhausted: no room, no descriptor, no memory; the same may work later.
struct LogWorkDone {
  std::vector<uint64_t> offsets;       ///< of the first so many that were appended
  std::optional<Error> append_failed;  ///< of the next one; those after it were not tried
  /// In order; shorter after an error that may pass.
  std::vector<Result<std::string>> read;
  std::optional<Error> read_failed;  ///< that error
};

/// Where a log outlives the process.
class LogStorage {
 public:
  virtual ~LogStorage() = default;
  /// Returns at once. `done` comes once, from a thread of the storage's or from within the call.
  /// At most one at a time; the storage may be destroyed before `done` has come.
  virtual void perform(LogWork work, std::function<void(LogWorkDone)> done) = 0;
};

}  // namespace pie
