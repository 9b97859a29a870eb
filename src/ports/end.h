#pragma once
#include <cstdint>
#include <string>

namespace pie {

/// How an instance ended (protocol.md, section 7, "Ends"). The numbers are those of the wire
/// (section 3) and of stored logs.
enum class EndKind : uint8_t {
  kCompleted = 1,
  kAborted = 2,
  kException = 3,
  kServerError = 4,
  kOutOfResources = 5,
};

struct End {
  EndKind kind = EndKind::kCompleted;
  std::string message;
};

}  // namespace pie
