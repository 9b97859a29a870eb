#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "host/program_host.h"
#include "instance/http_run.h"
#include "instance/log_waiters.h"
#include "net/http_server.h"

namespace pie::instance {

/// An instance that listens on a port and runs its program once for each request (protocol.md,
/// section 9). What the runs say goes to the instance's log, and so does what they fail of; they
/// share nothing else. Thread-safe. It ends only when it is told to.
class HttpInstance final : public host::RunningInstance,
                           public std::enable_shared_from_this<HttpInstance> {
 public:
  struct Parts {
    host::ProgramHost& host;  ///< outlives it, as `threads` does
    net::IoThreads& threads;
    net::HttpServerConfig sockets;
    uint64_t request_s_max = 0;  ///< a run that takes longer is ended
    /// Gives a run an id and quotas of its own, and what it launches.
    std::function<std::shared_ptr<Children>(host::LaunchSpec& run)> begin_run;
    host::LaunchSpec spec;  ///< of every run but for that, its ports and exchange
  };
  explicit HttpInstance(Parts parts);

  // host::RunningInstance
  /// Binds the port. kUnavailable with the system's reason when it can't be had.
  Result<void> start() override;
  Result<void> post_message(std::string) override { return {}; }
  Result<void> post_blob(BlobRef) override { return {}; }
  uint64_t mailbox_bytes() const override { return 0; }
  bool has_mailbox() const override { return false; }
  /// Frees the port, ends the runs; then on_end of the spec's ports.
  void terminate(End end) override;
  std::vector<host::ModelUse> use_by_model() const override;
  uint64_t memory_bytes() const override;

 private:
  friend HttpRun;
  /// One request that is being served.
  struct Served {
    std::shared_ptr<host::RunningInstance> program;
    uint64_t deadline_ns = 0;
    bool is_late = false;
  };
  using Programs = std::vector<std::shared_ptr<host::RunningInstance>>;

  void serve(const std::shared_ptr<net::HttpExchange>& exchange);
  /// The program that is to serve the request, among those that end with the instance.
  Result<std::shared_ptr<host::RunningInstance>> prepare(const std::shared_ptr<HttpRun>& run);
  void refuse(HttpRun& run, const Error& error);
  void schedule_tick();
  /// Ends runs that are late.
  void tick();
  void stop_listening(const std::shared_ptr<net::HttpServer>& server);
  void finish_if_over();
  Programs programs() const;

  // For its runs.
  host::InstancePorts& ports() { return *parts_.spec.ports; }
  LogWaiters& log_waiters() { return *log_waiters_; }
  void run_ended(HttpRun& run, const End& end);
  /// A line on the instance's stderr about one request.
  void report(const HttpRequestHead& head, const std::string& what);

  const Parts parts_;
  const std::shared_ptr<LogWaiters> log_waiters_;  ///< the runs that a full log holds up
  mutable std::mutex mutex_;
  std::shared_ptr<net::HttpServer> server_;
  std::map<uint64_t, Served> served_;  ///< by the runs' numbers
  uint64_t last_number_ = 0;
  std::optional<End> end_;     ///< it is to end so
  bool is_port_free_ = false;  ///< again, or it will never be taken
  bool is_over_ = false;
  uint64_t unreported_ = 0;  ///< lines that the log did not take
};

}  // namespace pie::instance
