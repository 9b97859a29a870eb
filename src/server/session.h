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
#include "base/work_queue.h"
#include "instance/instance_manager.h"
#include "net/shares.h"
#include "net/ws_server.h"
#include "protocol/server_session.h"
#include "server/failure_limiter.h"
#include "server/program_library.h"
#include "server/spools.h"
#include "server/status.h"
#include "store/authorized_users.h"
#include "store/programs.h"

namespace pie::server {

/// What sessions work with; the server owns it all and outlives them.
struct SessionServices {
  const Clock& clock;
  const ServerLimits& limits;
  const std::string& internal_token;
  store::AuthorizedUsers* users;  ///< null: authentication is off
  FailureLimiter& failures;
  Spools& spools;
  store::Programs& stored_programs;
  ProgramLibrary& programs;
  instance::InstanceManager& instances;
  StatusReport& status;
  Ledger& ledger;
  WorkQueue& requests;  ///< lists and figures of many instances
  WorkQueue& compile;
  WorkQueue& disk;           ///< uploads and blobs
  net::Shares& connections;  ///< of each user, signed in
};

/// One client's connection: the protocol's session on the socket's strand, its requests carried
/// out, the events of its instances pulled from their logs while the socket takes them.
class Session final : public net::WsHandler,
                      public instance::InstanceListener,
                      public std::enable_shared_from_this<Session> {
 public:
  using InstanceRef = std::shared_ptr<instance::ManagedInstance>;

  explicit Session(const SessionServices& services);

  // net::WsHandler, on the strand
  void on_open(std::shared_ptr<net::WsConnection> connection) override;
  void on_message(std::string_view frame) override;
  void on_text() override;
  void on_pong(std::string_view payload) override;
  void on_heard() override;
  void on_drained() override;
  void on_closed(Closing closing) override;

  // instance::InstanceListener, any thread
  void events_ready(const InstanceRef& instance) override;
  void probe(std::function<void(Peer)> done) override;
  void taken_over(const std::string& instance_id) override;

 private:
  /// Where the session's uploads go.
  class Uploads final : public protocol::UploadSpools {
   public:
    explicit Uploads(Spools& spools) : spools_(spools) {}
    protocol::UploadSpoolRef open(const std::string& user) override {
      return spools_.open(user, backlog_);
    }
    SpoolBacklog& backlog() { return *backlog_; }

   private:
    Spools& spools_;
    const std::shared_ptr<SpoolBacklog> backlog_ = std::make_shared<SpoolBacklog>();
  };
  struct Attachment {
    InstanceRef instance;
    uint64_t sent_seq = 0;
  };

  /// Takes the user's place among the connections that are signed in.
  Result<void> admit(const std::string& user);
  void apply();
  void perform(protocol::SessionAction action);
  void tick();
  void heard();
  /// An answer from any thread.
  void complete_later(protocol::ServerMessage answer);
  void look_up_keys(const std::string& user);
  void complete(std::optional<protocol::ServerMessage> answer);
  /// Refuses a request in the words of protocol.md: a Response.
  std::function<void(std::string)> refuser(uint32_t corr_id);

  /// Has a request's job run on a queue, for this connection's user, who is charged with the
  /// request's bytes meanwhile. When it cannot be, the reason goes to `refuse`, at once. Strand.
  void later(WorkQueue& queue, std::function<void()> job,
             const std::function<void(std::string reason)>& refuse);
  /// The same for what only this connection wants, and `bytes` long; any thread: it is dropped when
  /// the connection goes, its processor time is the user's, and it is refused when the user has
  /// none left.
  void compile_later(uint64_t bytes, std::function<void()> job,
                     const std::function<void(std::string reason)>& refuse);
  /// compile_later(), for the library.
  CompiledPrograms::Post compiler();

  void handle(protocol::Query request);
  void answer_exists(const protocol::Query& request);
  void answer_log(const protocol::Query& request);
  protocol::Response answer(const protocol::Query& request);
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
    store::ProgramReference program;
    host::LaunchSpec spec;
  };
  void launch(LaunchRequest request);
  void launched(uint32_t corr_id, host::LaunchMode mode, const Result<InstanceRef>& instance);
  /// Notes that this connection has the instance; false, and the instance told, when it is closed.
  bool hold(const InstanceRef& instance);
  /// Sends what the instance's log holds, and goes on.
  void follow(const InstanceRef& instance);
  void pump();
  /// Sends a few events; true when there may be more.
  bool send_some(Attachment& attachment);
  /// `bytes` of the server's memory, charged to the user; kResourceExhausted.
  Result<std::shared_ptr<Holding>> hold_bytes(uint64_t bytes) const;
  /// What the connection's outbox holds beyond a little is the user's.
  void charge_outbox();

  const SessionServices services_;
  Uploads uploads_;  ///< outlives session_
  std::shared_ptr<net::WsConnection> connection_;
  std::unique_ptr<net::Shares::Place> place_;  ///< from signing in to closing; null of `internal`
  protocol::ServerSession session_;
  std::map<std::string, Attachment> attachments_;  ///< by instance id
  std::deque<std::string> active_;                 ///< attachments that may have events, in turn
  std::set<std::string> is_active_;
  bool wake_posted_ = false;
  uint64_t request_bytes_ = 0;  ///< of the message that is being taken
  bool is_known_ = false;       ///< has signed in
  uint64_t event_bytes_ = 0;    ///< what the outbox may hold of events, beside answers
  Holding outbox_;

  std::mutex mutex_;  ///< of what follows
  bool closed_ = false;
  std::map<std::string, InstanceRef> held_;
  std::set<std::string> ready_;
  bool pump_posted_ = false;
  std::map<uint64_t, std::function<void(Peer)>> probes_;
  uint64_t next_probe_ = 1;
  std::map<uint64_t, WorkQueue::Ticket> compiling_;
  uint64_t next_compiling_ = 1;
};

}  // namespace pie::server
