#pragma once
#include <atomic>
#include <cstdint>
#include <memory>

#include "base/clock.h"
#include "base/ledger.h"
#include "base/limits.h"
#include "base/result.h"
#include "host/program_host.h"
#include "instance/admission.h"
#include "instance/managed_instance.h"
#include "net/io_threads.h"
#include "store/instance_records.h"

namespace pie::instance {

/// What instances are made of; all of it outlives them.
struct InstanceServices {
  Ledger& ledger;
  host::ProgramHost& host;
  store::InstanceRecords& records;
  net::IoThreads& threads;  ///< of the sockets of those that serve HTTP
  const Clock& clock;
};

/// Makes instances, of launches and of what an earlier process left. Thread-safe; nothing here
/// blocks.
class InstanceMaker {
 public:
  using InstanceRef = std::shared_ptr<ManagedInstance>;

  InstanceMaker(const ServerLimits& limits, const InstanceServices& services)
      : limits_(limits), services_(services) {}

  /// The record of a launch.
  store::InstanceRecord record_of(const host::LaunchSpec& spec) const;
  /// Its instance, with a log, and prepared to run; nobody knows it yet. Refused where the user has
  /// no room for what is kept of it, or the program cannot be run so.
  Result<InstanceRef> make(host::LaunchSpec spec, store::InstanceRecord record,
                           std::unique_ptr<Admission::Place> place);
  /// One that an earlier process left, finished now: with ServerError when it ran.
  InstanceRef adopt(store::InstanceRecord record, store::StoredLog stored) const;

 private:
  LifeTimes life_times() const;
  LogLimits log_limits(const UserQuotasRef& quotas) const;
  Result<std::shared_ptr<host::RunningInstance>> prepare(host::LaunchSpec spec);

  const ServerLimits limits_;
  const InstanceServices services_;
  std::atomic<uint64_t> next_id_ = 1;
};

}  // namespace pie::instance
