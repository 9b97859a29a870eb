#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "net/ws_server.h"
#include "protocol/server_session.h"
#include "server/failure_limiter.h"
#include "server/instance_manager.h"
#include "server/program_library.h"
#include "server/status.h"
#include "server/work_pool.h"

namespace pie::server {

/// What sessions work with; the server owns it all and outlives them.
struct SessionServices {
  const Clock& clock;
  const ServerLimits& limits;
  const std::string& internal_token;
  protocol::Authority* authority;  ///< null: authentication is off
  FailureLimiter& failures;
  protocol::UploadSpools& spools;
  ProgramLibrary& programs;
  InstanceManager& instances;
  StatusReport& status;
  WorkPool& quick;  ///< look-ups, launches of compiled programs
  WorkPool& slow;   ///< compiling
};

/// One client's connection: the protocol's session on the socket's strand, its requests carried
/// out, the events of its instances pulled from their logs while the socket takes them.
class Session final : public net::WsHandler,
                      public EventSink,
                      public std::enable_shared_from_this<Session> {
 public:
  explicit Session(const SessionServices& services);

  // net::WsHandler, on the strand
  void on_open(std::shared_ptr<net::WsConnection> connection) override;
  void on_message(std::string_view frame) override;
  void on_text() override;
  void on_pong(std::string_view payload) override;
  void on_drained() override;
  void on_closed(Closing closing) override;

  // EventSink, any thread
  void events_ready(const std::shared_ptr<ManagedInstance>& instance) override;
  void probe(std::function<void(bool alive)> done) override;
  void taken_over(const std::string& instance_id) override;

 private:
  struct Attachment {
    std::shared_ptr<ManagedInstance> instance;
    uint64_t sent_seq = 0;
  };
  using InstanceRef = std::shared_ptr<ManagedInstance>;

  void apply();
  void perform(protocol::SessionAction action);
  void tick();
  void heard();
  /// An answer from any thread.
  void complete_later(protocol::ServerMessage answer);
  void complete(std::optional<protocol::ServerMessage> answer);

  void handle(protocol::Query request);
  void handle(protocol::ProgramUploaded request);
  void handle(protocol::LaunchInstance request);
  void handle(protocol::LaunchInstanceFromRegistry request);
  void handle(protocol::LaunchServerInstance request);
  void handle(protocol::AttachInstance request);
  void handle(protocol::SignalInstance request);
  void handle(protocol::BlobUploaded request);
  void handle(protocol::TerminateInstance request);
  void handle(protocol::ListInstances request);
  void handle(protocol::Delivered delivered);

  struct LaunchRequest {
    uint32_t corr_id = 0;
    protocol::ProgramRef program;
    ProgramLibrary::From from = ProgramLibrary::From::kAnywhere;
    std::vector<std::string> arguments;
    bool detached = false;
    uint16_t http_port = 0;  ///< of launch_server_instance
  };
  void launch(LaunchRequest request);
  void launch_program(const LaunchRequest& request, Result<LaunchableProgram> program);
  void launch_server(const LaunchRequest& request, Result<LaunchableProgram> program);
  /// Notes that this connection has the instance; false, and the instance told, when it is closed.
  bool hold(const InstanceRef& instance);
  /// Sends what the instance's log holds, and goes on.
  void follow(const InstanceRef& instance);
  void pump();
  /// The client leaves with a word: ends that were sent on this connection to instances launched
  /// attached count as delivered.
  void settle_ends();
  /// Sends a few events; true when there may be more.
  bool send_some(Attachment& attachment);

  const SessionServices services_;
  std::shared_ptr<net::WsConnection> connection_;
  protocol::ServerSession session_;
  std::map<std::string, Attachment> attachments_;  ///< by instance id
  std::deque<std::string> active_;                 ///< attachments that may have events, in turn
  std::set<std::string> is_active_;
  bool wake_posted_ = false;

  std::mutex mutex_;  ///< of what follows
  bool closed_ = false;
  std::map<std::string, InstanceRef> held_;
  std::set<std::string> ready_;
  bool pump_posted_ = false;
  std::map<uint64_t, std::function<void(bool)>> probes_;
  uint64_t next_probe_ = 1;
};

}  // namespace pie::server
