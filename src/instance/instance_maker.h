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
#include "instance/descent.h"
#include "instance/managed_instance.h"
#include "instance/program_source.h"
#include "instance/volatile_records.h"
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
  ProgramSource& programs;
};

class InstanceManager;

/// Makes instances, of launches and of what an earlier process left. Thread-safe; nothing here
/// blocks.
class InstanceMaker {
 public:
  using InstanceRef = std::shared_ptr<ManagedInstance>;

  /// `manager` launches the children of what is made.
  InstanceMaker(const ServerLimits& limits, const InstanceServices& services,
                InstanceManager& manager)
      : limits_(limits), services_(services), manager_(manager) {}

  /// The record of a launch.
  store::InstanceRecord record_of(const host::LaunchSpec& spec) const;
  /// Its instance, with a log, and prepared to run; nobody knows it yet. Refused where the user has
  /// no room for what is kept of it, or the program cannot be run so.
  Result<InstanceRef> make(host::LaunchSpec spec, store::InstanceRecord record,
                           std::unique_ptr<Admission::Place> place);
  /// The same of a child, whose record and log are nowhere but here.
  Result<InstanceRef> make_child(host::LaunchSpec spec, const Descent& parent,
                                 std::unique_ptr<Admission::Place> place);
  /// One that an earlier process left, finished now: with ServerError when it ran.
  InstanceRef adopt(store::InstanceRecord record, store::StoredLog stored) const;

 private:
  LifeTimes life_times() const;
  /// Of an instance that a client launched.
  LogLimits log_limits(const UserQuotasRef& quotas) const;
  /// What an instance that stands there launches.
  std::shared_ptr<Children> children_of(const host::LaunchSpec& spec, Descent self) const;
  /// The rest of make() and make_child(): `parts` but for the record, the life and the family.
  Result<InstanceRef> assemble(host::LaunchSpec spec, store::InstanceRecord record, Descent self,
                               ManagedInstance::Parts parts, store::InstanceRecords& records);
  /// HttpInstance::Parts::begin_run: each run is a family of its own.
  std::shared_ptr<Children> begin_run(host::LaunchSpec& run);
  Result<std::shared_ptr<host::RunningInstance>> prepare(host::LaunchSpec spec);

  const ServerLimits limits_;
  const InstanceServices services_;
  InstanceManager& manager_;
  VolatileRecords volatile_records_;
  std::atomic<uint64_t> next_id_ = 1;
};

}  // namespace pie::instance
