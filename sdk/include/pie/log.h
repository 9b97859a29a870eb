#pragma once
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "pie/result.h"

namespace inferlet {

enum class LogLevel : uint8_t { kTrace, kDebug, kInfo, kWarning, kError };
using LogField = std::pair<std::string_view, std::string_view>;  ///< name, value

/// Writes one line of JSON to stderr: time (UTC), level, instance, message and fields. Waits while
/// the log is full. Refused: more than 64 KiB together, more than 64 fields, a name twice.
Result<void> log_line(LogLevel level, std::string_view message,
                      const std::vector<LogField>& fields = {});

}  // namespace inferlet
