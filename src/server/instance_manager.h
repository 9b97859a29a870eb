#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ledger.h"
#include "base/result.h"
#include "base/work_queue.h"
#include "host/program_host.h"
#include "net/io_threads.h"
#include "protocol/messages.h"
#include "server/config.h"
#include "server/disk_reserve.h"
#include "server/managed_instance.h"
#include "server/program_library.h"
#include "store/store.h"

namespace pie::server {

/// All instances of a server: who may do what with them, and their way from launch to oblivion
/// (protocol.md, section 7). Thread-safe. Somebody else's instance answers as if it did not exist;
/// the user `internal` sees everyone's.
class InstanceManager {
 public:
  struct Launch {
    std::string user;
    LaunchableProgram program;
    std::vector<std::string> arguments;
    instance::LaunchMode mode = instance::LaunchMode::kAttached;
    uint16_t http_port = 0;  ///< it serves HTTP there; 0: it runs
  };
  using Attached = std::function<void(Result<std::shared_ptr<ManagedInstance>>)>;

  /// `disk` runs the work of the logs' storage, `bookkeeping` what the store has to know when
  /// instances end, `threads` the sockets of those that serve HTTP. `reserve`: nothing is launched
  /// when it would be used.
  InstanceManager(const ServerLimits& limits, Ledger& ledger, host::ProgramHost& host,
                  store::Instances& store, WorkQueue& disk, WorkQueue& bookkeeping,
                  const DiskReserve& reserve, net::IoThreads& threads, const Clock& clock);

  /// Takes over what an earlier process left: what ran is Finished with ServerError.
  Result<void> recover();

  /// Starts an instance. Launched attached, it waits for attach() by the same connection. One that
  /// serves HTTP has bound its port when this returns.
  Result<std::shared_ptr<ManagedInstance>> launch(Launch launch);
  /// Makes `sink` the one that hears the instance. A holder that no longer answers loses it.
  /// `done` comes once, from any thread.
  void attach(const std::string& user, const std::string& id, std::shared_ptr<EventSink> sink,
              Attached done);
  /// Ends the instance, or forgets one that has finished; `done` when its pages are free.
  void terminate(const std::string& user, const std::string& id,
                 std::function<void(Result<void>)> done);
  Result<void> signal(const std::string& user, const std::string& id, std::string message);
  Result<void> send_blob(const std::string& user, const std::string& id, BlobRef blob);
  /// Own instances, newest first.
  std::vector<protocol::LiveInstance> list(const std::string& user) const;
  /// The answer to `query instance_log` (log_tail.h): what is in the log of one's own instance and
  /// not yet delivered.
  Result<std::string> log_tail(const std::string& user, const std::string& record) const;
  /// What each own instance that runs has of each model, by id.
  std::map<std::string, std::vector<host::ModelUse>> model_use(const std::string& user) const;
  size_t running_count() const;

  /// Everything was delivered: forgets the instance, if it has ended.
  void delivered(const std::shared_ptr<ManagedInstance>& instance);
  /// Aborts and forgets what is due. To be called every few seconds.
  void sweep();
  /// Ends all instances with ServerError("server stopped"); their logs stay for the next start.
  /// Returns when they have ended.
  void stop();

 private:
  using InstanceRef = std::shared_ptr<ManagedInstance>;
  Result<InstanceRef> find(const std::string& user, const std::string& id) const;
  Result<std::shared_ptr<instance::EventLog>> open_log(const std::string& id,
                                                       const std::string& user);
  /// Has the store told something of the user's instances, in order.
  void book(const std::string& user, std::function<void()> job);
  /// Counts one more that runs, unless the user has too many or the server stops.
  Result<void> admit(const std::string& user);
  /// One less that runs.
  void leave(const std::string& user);
  /// A new instance with its log and its row in the store; nobody knows it yet.
  Result<InstanceRef> create(const Launch& launch);
  Result<std::shared_ptr<host::RunningInstance>> start(host::LaunchSpec spec, uint16_t http_port);
  /// The program that takes what is posted to this instance.
  Result<std::shared_ptr<host::RunningInstance>> mailbox_of(const std::string& user,
                                                            const std::string& id) const;
  void adopt(const store::InstanceRecord& record);
  void ended(const InstanceRef& instance, host::End end);
  void forget(const InstanceRef& instance);
  std::vector<InstanceRef> all() const;

  const ServerLimits limits_;
  Ledger& ledger_;
  host::ProgramHost& host_;
  store::Instances& store_;
  WorkQueue& disk_;
  WorkQueue& bookkeeping_;
  const DiskReserve& reserve_;
  net::IoThreads& threads_;
  const Clock& clock_;
  std::atomic<uint64_t> next_id_ = 1;
  std::atomic<bool> stopping_ = false;
  mutable std::mutex mutex_;
  std::map<std::string, InstanceRef> instances_;
  std::map<std::string, uint32_t> running_per_user_;
};

/// A random version 4 UUID (RFC 9562, section 5.4): what clients know an instance by.
std::string make_instance_id();
bool is_instance_id(std::string_view text);

}  // namespace pie::server
