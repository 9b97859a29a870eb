#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "protocol/server_session.h"
#include "server/session_events.h"
#include "server/session_launches.h"
#include "server/session_work.h"

namespace pie::server {

class Session;
struct SessionServices;

/// Carries out what a connection asks for. A part of its session, on its strand.
class SessionRequests {
 public:
  SessionRequests(Session& session, SessionEvents& events)
      : session_(session), events_(events), work_(session), launches_(session, events, work_) {}

  /// A message of so many bytes is being taken: what follows is of it.
  void begin(uint64_t bytes) { work_.begin(bytes); }
  /// Answered by one Session::complete().
  void handle(protocol::SessionRequest request);
  void close() { work_.close(); }

 private:
  using InstanceRef = SessionEvents::InstanceRef;

  void handle(protocol::Query request);
  void handle(protocol::ProgramUploaded request);
  void handle(protocol::AttachInstance request);
  void handle(protocol::SignalInstance request);
  void handle(protocol::BlobUploaded request);
  void handle(protocol::TerminateInstance request);
  void handle(protocol::ListInstances request);

  void answer_exists(const protocol::Query& request);
  void answer_log(const protocol::Query& request);
  protocol::Response answer(const protocol::Query& request);

  /// This, as long as the session lives.
  std::shared_ptr<SessionRequests> shared();
  const SessionServices& services() const;
  /// Refuses a request in the words of protocol.md: a Response.
  SessionWork::Refuse refuser(uint32_t corr_id);

  Session& session_;
  SessionEvents& events_;
  SessionWork work_;
  SessionLaunches launches_;
};

}  // namespace pie::server
