#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "ports/log_storage.h"

namespace pie::instance {

/// One event of a log.
struct Event {
  uint64_t seq = 0;  ///< 1, 2, ... within one log
  EventKind kind = EventKind::kStdout;
  EndKind end = EndKind::kCompleted;  ///< of kEnd
  std::shared_ptr<const std::string> payload;
};

}  // namespace pie::instance
