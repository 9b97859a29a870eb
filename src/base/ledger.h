#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/limits.h"
#include "base/quota.h"

namespace pie {

/// What one user makes the server hold or spend (protocol.md, section 7, "Ends"; section 1,
/// limits). Each is bounded by UserLimits, and where TotalLimits says so by the sum over users.
struct UserQuotas {
  Quota memory;       ///< linear memories of instances that run, bytes
  Quota host_memory;  ///< what the server's memory holds for instances and connections, bytes
  Quota cpu;          ///< CPU time in the current hour, work on the user's behalf included, ns
  Quota kv_pages;     ///< of instances that run, and exports
  Quota output;       ///< said in the current hour, bytes
  Quota stored_logs;  ///< said and not yet delivered, and what is kept of each instance, bytes
  Quota spools;       ///< uploads and blobs that wait on disk, bytes
  /// Of a family (family_quotas()): those of its user, for what outlives it. Null of a user.
  std::shared_ptr<UserQuotas> user = nullptr;
};
using UserQuotasRef = std::shared_ptr<UserQuotas>;

/// The quotas of an instance and of its children, theirs included: together they have what `limits`
/// allow one instance, and no more than `user` has left. What counts here counts there too, which
/// may be null.
UserQuotasRef family_quotas(const UserQuotasRef& user, const InstanceLimits& limits);

/// A part of a user's quotas, to hold it by itself: `part_of(quotas, &UserQuotas::spools)`. Null of
/// null.
inline std::shared_ptr<Quota> part_of(const UserQuotasRef& quotas, Quota UserQuotas::* part) {
  return quotas ? std::shared_ptr<Quota>(quotas, &((*quotas).*part)) : nullptr;
}

/// The quotas of all users. Thread-safe; outlives what it hands out.
class Ledger {
 public:
  /// `total` with its zeros already chosen by the machine (0 stays unlimited here); `wall_ns`: now.
  Ledger(const UserLimits& user, const TotalLimits& total, uint64_t wall_ns);

  /// The user's quotas; those of `internal` count, and only the sums bound them. Who holds them
  /// keeps them. A user of whom nobody holds anything is forgotten at the next hour, and before it,
  /// when there are many, unless something of this hour's is spent.
  UserQuotasRef of(const std::string& user);
  /// At a new hour (of the wall clock, nanoseconds) the hourly quotas begin anew.
  void begin_hour(uint64_t wall_ns);

 private:
  static constexpr size_t kCrowdMin = 1'024;
  void forget_idle();

  const UserLimits limits_;
  Quota memory_;
  std::mutex mutex_;
  uint64_t hour_;
  std::map<std::string, UserQuotasRef> users_;
  size_t crowd_ = kCrowdMin;  ///< users beyond which the idle ones are looked for
};

}  // namespace pie
