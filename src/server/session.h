#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/ws_connection.h"
#include "protocol/server_session.h"
#include "server/session_events.h"
#include "server/session_requests.h"
#include "server/session_services.h"

namespace pie::server {

/// One client's connection: the protocol's session on the socket's strand. Its requests are carried
/// out by SessionRequests, what its instances say is sent by SessionEvents.
class Session final : public net::WsHandler, public std::enable_shared_from_this<Session> {
 public:
  explicit Session(const SessionServices& services);

  // net::WsHandler, on the strand
  void on_open(std::shared_ptr<net::WsConnection> connection) override;
  void on_message(std::string_view frame) override;
  void on_text() override;
  void on_pong(std::string_view payload) override;
  void on_heard() override;
  void on_drained() override;
  void on_closed(Closing closing) override;

  // For its parts, any thread.
  const SessionServices& services() const { return services_; }
  /// Who has signed in; after that.
  const std::string& user() const { return session_.user(); }
  /// Runs `task` on the strand, while this lives.
  void post(std::function<void()> task);
  void complete_later(protocol::ServerMessage answer);

  // For its parts, on the strand.
  net::WsConnection& connection() { return *connection_; }
  protocol::ServerSession& protocol() { return session_; }
  void complete(std::optional<protocol::ServerMessage> answer);
  /// Does what the protocol's session wants done.
  void apply();

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

  /// Takes the user's place among the connections that are signed in.
  Result<void> admit(const std::string& user);
  void look_up_keys(const std::string& user);
  void perform(protocol::SessionAction action);
  void send_late(protocol::SendDelayed answer);
  void tick();
  /// What the connection's outbox holds beyond a little is the user's.
  void charge_outbox();

  const SessionServices services_;
  Uploads uploads_;  ///< outlives session_
  std::shared_ptr<net::WsConnection> connection_;
  std::unique_ptr<net::Shares::Place> place_;  ///< from signing in to closing; null of `internal`
  protocol::ServerSession session_;
  SessionEvents events_{*this};
  SessionRequests requests_{*this, events_};
  bool wake_posted_ = false;
  bool is_known_ = false;  ///< has signed in
  Holding outbox_;
};

}  // namespace pie::server
