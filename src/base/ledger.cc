#include "base/ledger.h"

#include <algorithm>

#include "base/user_name.h"

namespace pie {
namespace {

constexpr uint64_t kSecondNs = 1'000'000'000;
constexpr uint64_t kHourNs = 3'600 * kSecondNs;

}  // namespace

UserQuotasRef family_quotas(const UserQuotasRef& user, const InstanceLimits& limits) {
  const auto total = [&](Quota UserQuotas::* part) { return user ? &((*user).*part) : nullptr; };
  return UserQuotasRef(new UserQuotas{
      {"memory of an instance and its children", "bytes", limits.memory_bytes_max,
       total(&UserQuotas::memory)},
      {"what the host keeps for an instance and its children", "bytes", limits.host_bytes_max,
       total(&UserQuotas::host_memory)},
      {"CPU time of an instance and its children", "ns", limits.cpu_ns_max,
       total(&UserQuotas::cpu)},
      {"KV pages of an instance and its children", "pages", limits.kv_pages_max,
       total(&UserQuotas::kv_pages)},
      {"output of an instance and its children", "bytes", limits.output_bytes_max,
       total(&UserQuotas::output)},
      {"stored logs", "bytes", 0, total(&UserQuotas::stored_logs)},
      {"uploads and blobs that wait on disk", "bytes", 0, total(&UserQuotas::spools)},
      user});
}

Ledger::Ledger(const UserLimits& user, const TotalLimits& total, uint64_t wall_ns)
    : limits_(user),
      memory_("memory of all users' instances, and what the server holds for them", "bytes",
              total.memory_bytes_max),
      hour_(wall_ns / kHourNs) {}

UserQuotasRef Ledger::of(const std::string& user) {
  const std::lock_guard lock(mutex_);
  UserQuotasRef& quotas = users_[user];
  if (!quotas) {
    const UserLimits& l = limits_;
    const auto max = [&](uint64_t value) { return user == kInternalUser ? 0 : value; };
    quotas.reset(new UserQuotas{
        {"memory of all instances of the user", "bytes", max(l.memory_bytes_max), &memory_},
        {"what the server's memory holds for the user", "bytes", max(l.host_bytes_max), &memory_},
        {"CPU time in this hour of the user", "ns", max(l.cpu_s_per_hour_max * kSecondNs)},
        {"KV pages of all instances of the user", "pages", max(l.kv_pages_max)},
        {"output in this hour of the user", "bytes", max(l.output_bytes_per_hour_max)},
        {"stored logs of the user", "bytes", max(l.log_bytes_max)},
        {"uploads and blobs of the user that wait on disk", "bytes", max(l.spool_bytes_max)}});
  }
  UserQuotasRef held = quotas;
  if (users_.size() > crowd_) forget_idle();
  return held;
}

/// Names cost nothing where nobody proves them: who holds and has spent nothing is no user.
void Ledger::forget_idle() {
  std::erase_if(users_, [](const auto& one) {
    const UserQuotasRef& quotas = one.second;
    return quotas.use_count() == 1 && quotas->cpu.used() == 0 && quotas->output.used() == 0;
  });
  crowd_ = std::max(kCrowdMin, 2 * users_.size());
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
