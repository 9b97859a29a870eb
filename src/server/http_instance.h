#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "host/program_host.h"
#include "net/http_server.h"
#include "server/log_waiters.h"

namespace pie::server {

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
    uint64_t request_s_max = 0;           ///< a run that takes longer is ended
    std::function<InstanceId()> next_id;  ///< of a run
    host::LaunchSpec spec;                ///< of every run but for its id, ports and exchange
  };
  /// Binds the port. kUnavailable with the system's reason when it can't be had.
  static Result<std::shared_ptr<HttpInstance>> launch(Parts parts);
  explicit HttpInstance(Parts parts)
      : parts_(std::move(parts)),
        log_waiters_(
            std::make_shared<LogWaiters>([ports = parts_.spec.ports](LogWaiters::Wake wake) {
              ports->on_writable(std::move(wake));
            })) {}

  // host::RunningInstance
  Result<void> post_message(std::string) override { return {}; }
  Result<void> post_blob(BlobRef) override { return {}; }
  uint64_t mailbox_bytes() const override { return 0; }
  bool has_mailbox() const override { return false; }
  /// Frees the port, ends the runs; then on_end of the spec's ports.
  void terminate(host::End end) override;
  std::vector<host::ModelUse> use_by_model() const override;
  uint64_t memory_bytes() const override;

 private:
  class RunPorts;
  class Exchange;
  /// One request that is being served.
  struct Run {
    std::shared_ptr<host::RunningInstance> program;  ///< null: the launch is under way
    std::optional<host::End> termination;            ///< asked for meanwhile
    uint64_t deadline_ns = 0;
    bool is_late = false;
  };

  Result<void> listen();
  void serve(const std::shared_ptr<net::HttpExchange>& exchange);
  void launched(uint64_t number, std::shared_ptr<host::RunningInstance> program);
  void end_run(uint64_t number, host::End end);
  void run_ended(uint64_t number, const Exchange& exchange, const host::End& end);
  /// A line on the instance's stderr about one request.
  void report(const HttpRequestHead& head, const std::string& what);
  void schedule_tick();
  /// Ends runs that are late.
  void tick();
  void finish_if_over();

  const Parts parts_;
  const std::shared_ptr<LogWaiters> log_waiters_;  ///< the runs that a full log holds up
  std::shared_ptr<net::HttpServer> server_;
  mutable std::mutex mutex_;
  std::map<uint64_t, Run> runs_;
  uint64_t last_number_ = 0;
  std::optional<host::End> end_;  ///< it is to end so
  bool port_is_free_ = false;
  bool is_over_ = false;
  uint64_t unreported_ = 0;  ///< lines that the log did not take
};

}  // namespace pie::server
