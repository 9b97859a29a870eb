#include "base/ledger.h"

#include "base/user_name.h"

namespace pie {
namespace {

constexpr uint64_t kSecondNs = 1'000'000'000;
constexpr uint64_t kHourNs = 3'600 * kSecondNs;

}  // namespace

Ledger::Ledger(const UserLimits& user, const TotalLimits& total, uint64_t wall_ns)
    : limits_(user),
      memory_("memory of all users' instances, and what the server holds for them", "bytes",
              total.memory_bytes_max),
      hour_(wall_ns / kHourNs) {}

UserQuotasRef Ledger::of(const std::string& user) {
  const std::lock_guard lock(mutex_);
  UserQuotasRef& quotas = users_[user];
  if (!quotas) {
    UserLimits l = limits_;
    if (user == kInternalUser)
      l = {.instances_max = 0,
           .memory_bytes_max = 0,
           .host_bytes_max = 0,
           .cpu_s_per_hour_max = 0,
           .kv_pages_max = 0,
           .output_bytes_per_hour_max = 0,
           .log_bytes_max = 0,
           .program_bytes_max = 0,
           .kvs_bytes_max = 0,
           .spool_bytes_max = 0};
    quotas.reset(new UserQuotas{
        {"memory of all instances of the user", "bytes", l.memory_bytes_max, &memory_},
        {"what the server's memory holds for the user", "bytes", l.host_bytes_max, &memory_},
        {"CPU time in this hour of the user", "ns", l.cpu_s_per_hour_max * kSecondNs},
        {"KV pages of all instances of the user", "pages", l.kv_pages_max},
        {"output in this hour of the user", "bytes", l.output_bytes_per_hour_max},
        {"stored logs of the user", "bytes", l.log_bytes_max},
        {"uploads and blobs of the user that wait on disk", "bytes", l.spool_bytes_max}});
  }
  return quotas;
}

void Ledger::begin_hour(uint64_t wall_ns) {
  const std::lock_guard lock(mutex_);
  if (wall_ns / kHourNs == hour_) return;
  hour_ = wall_ns / kHourNs;
  for (auto one = users_.begin(); one != users_.end();) {
    one->second->cpu.reset();
    one->second->output.reset();
    one = one->second.use_count() == 1 ? users_.erase(one) : std::next(one);
  }
}

}  // namespace pie
