#pragma once
#include <cstdint>
#include <string>

#include "base/result.h"
#include "instance/event_log.h"

namespace pie::server {

/// The last events of a log, together at most `bytes_max` of payload (the last one always, but
/// no text beyond 1 MiB), in order, without taking them from whoever attaches. As JSON: an array of
/// {"event", "text"}, a blob with "bytes" instead of its text. As text: what it printed and sent,
/// and how it ended on a line of its own.
std::string log_tail(const instance::EventLog& log, uint64_t bytes_max, bool as_json);

/// The record of `query instance_log`: "ID", "ID json", "ID text", each with a number of bytes
/// after it (64 KiB unless told, at most 1 MiB).
struct LogQuery {
  std::string instance_id;
  bool as_json = true;
  uint64_t bytes_max = 64 << 10;
};
Result<LogQuery> parse_log_query(const std::string& record);

}  // namespace pie::server
