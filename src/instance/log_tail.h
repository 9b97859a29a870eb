#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "instance/event_log.h"

namespace pie::instance {

/// As JSON: an array of {"event", "text"}, a blob with "bytes" instead of its text. As text: what
/// it printed and sent, and how it ended on a line of its own.
enum class TailForm { kJson, kText };

/// The record of `query instance_log`: "ID", "ID json", "ID text", each with a number of bytes
/// after it (64 KiB unless told, at most 1 MiB).
struct TailQuery {
  std::string instance_id;
  TailForm form = TailForm::kJson;
  uint64_t bytes_max = 64 << 10;
};
Result<TailQuery> parse_tail_query(const std::string& record);

/// The last events of a log, together at most `bytes_max` of payload (the last one always, but
/// no text beyond 1 MiB), in order, without taking them from whoever attaches. `done` comes once,
/// at once or from a thread of the log's storage.
void collect_tail(std::shared_ptr<EventLog> log, uint64_t bytes_max, TailForm form,
                  std::function<void(std::string)> done);

}  // namespace pie::instance
