#include "server/instance_rows.h"

#include <algorithm>

#include "instance/arguments.h"

namespace pie::server {
namespace {

constexpr size_t kListedBytesMax = 8U << 20;  ///< of arguments, in all rows together

}  // namespace

std::vector<protocol::LiveInstance> instance_rows(
    const std::vector<std::shared_ptr<instance::ManagedInstance>>& instances, uint64_t now_ns) {
  const size_t row_bytes = std::min(instance::kListedArgumentsBytesMax,
                                    kListedBytesMax / std::max<size_t>(instances.size(), 1));
  std::vector<protocol::LiveInstance> rows;
  for (const auto& one : instances) {
    const auto& record = one->record();
    const auto running = one->running();
    const uint64_t age_ns = now_ns - std::min(now_ns, record.launched_ns);
    rows.push_back({.id = record.id,
                    .cmd_name = record.cmd_name,
                    .arguments = instance::shortened_arguments(record.arguments, row_bytes),
                    .status = std::string(instance::to_string(one->status())),
                    .username = record.owner,
                    .elapsed_secs = age_ns / 1'000'000'000,
                    .kv_pages_used = running ? running->kv_pages_used() : 0});
  }
  return rows;
}

}  // namespace pie::server
