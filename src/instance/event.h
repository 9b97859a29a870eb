#pragma once
#include <cstdint>
#include <memory>
#include <string>

namespace pie::instance {

/// What an instance said; the order of one log is the order in which it happened. The numbers are
/// written to disk.
enum class EventKind : uint8_t {
  kStdout = 1,   ///< text, valid UTF-8
  kStderr = 2,   ///< text, valid UTF-8
  kMessage = 3,  ///< text
  kBlob = 4,     ///< bytes
  kEnd = 5,      ///< text; the last event of a log, with an EndCode
};

/// How an instance ended; the numbers are those of the wire (protocol.md, section 3).
enum class EndCode : uint8_t {
  kCompleted = 1,
  kAborted = 2,
  kException = 3,
  kServerError = 4,
  kOutOfResources = 5,
};

struct Event {
  uint64_t seq = 0;  ///< 1, 2, ... within one log
  EventKind kind = EventKind::kStdout;
  EndCode end = EndCode::kCompleted;  ///< of kEnd
  std::shared_ptr<const std::string> payload;
};

}  // namespace pie::instance
