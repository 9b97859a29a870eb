#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/blob.h"
#include "base/limits.h"
#include "base/result.h"
#include "instance/admission.h"
#include "instance/instance_collection.h"
#include "instance/instance_maker.h"

namespace pie::instance {

/// All instances of a server: their way from launch to oblivion (protocol.md, section 7).
/// Thread-safe; nothing here blocks, except recover() and stop(). Somebody else's instance answers
/// as if it did not exist; the user `internal` sees everyone's.
class InstanceManager {
 public:
  using InstanceRef = std::shared_ptr<ManagedInstance>;
  using Done = std::function<void(Result<InstanceRef>)>;

  InstanceManager(const ServerLimits& limits, const InstanceServices& services);

  /// Takes over what an earlier process left: what ran is Finished with ServerError. Waits for the
  /// disk.
  Result<void> recover();

  /// Starts an instance of what the request says (LaunchSpec). Launched attached, it waits for
  /// attach() by the same connection. One that serves HTTP has bound its port when `done` comes:
  /// once, at once or from a thread of the store's.
  void launch(host::LaunchSpec spec, Done done);
  /// The same of a child, heard by `listener` from the start. Nothing of it is kept on disk.
  Result<InstanceRef> launch_child(host::LaunchSpec spec, const Descent& parent,
                                   const std::shared_ptr<InstanceListener>& listener);
  ProgramSource& programs() { return services_.programs; }
  /// Makes `listener` the one that hears the instance. A holder that no longer answers loses it.
  /// `done` comes once, from any thread.
  void attach(const std::string& user, const std::string& id,
              std::shared_ptr<InstanceListener> listener, Done done);
  /// Ends the instance, or forgets one that has finished; `done` when its pages are free.
  void terminate(const std::string& user, const std::string& id,
                 std::function<void(Result<void>)> done);
  Result<void> signal(const std::string& user, const std::string& id, std::string message);
  Result<void> send_blob(const std::string& user, const std::string& id, BlobRef blob);
  /// Own instances that lists show, newest first.
  std::vector<InstanceRef> list(const std::string& user) const;
  /// The answer to `query instance_log` (log_tail.h): what is in the log of one's own instance and
  /// not yet delivered. `done` comes once, at once or from a thread of the store's.
  void log_tail(const std::string& user, const std::string& record,
                std::function<void(Result<std::string>)> done) const;
  /// What each own instance that runs has of each model, by id.
  std::map<std::string, std::vector<host::ModelUse>> model_use(const std::string& user) const;
  size_t running_count() const { return admission_.count(); }

  /// The program that takes `bytes` more that are posted to this instance; `what`, in refusals.
  Result<std::shared_ptr<host::RunningInstance>> mailbox_of(const ManagedInstance& instance,
                                                            const char* what, uint64_t bytes) const;
  /// Everything was delivered: forgets the instance, if it has ended.
  void delivered(const InstanceRef& instance);
  /// Begins the hour, aborts and forgets what is due. To be called every few seconds.
  void sweep();
  /// Ends all instances with ServerError("server stopped"); their logs stay for the next start.
  /// Returns when they have ended.
  void stop();

 private:
  /// Lets one run whose record is kept.
  Result<void> start(const InstanceRef& instance);
  /// mailbox_of() by the id that a client says.
  Result<std::shared_ptr<host::RunningInstance>> mailbox_of(const std::string& user,
                                                            const std::string& id, const char* what,
                                                            uint64_t bytes) const;
  void forget(const InstanceRef& instance);

  const ServerLimits limits_;
  const InstanceServices services_;
  InstanceMaker maker_;
  Admission admission_;
  InstanceCollection instances_;
};

}  // namespace pie::instance
