#pragma once
#include <cstdint>
#include <memory>

#include "host/launch_spec.h"
#include "protocol/messages.h"
#include "server/session_events.h"
#include "server/session_work.h"
#include "store/programs.h"

namespace pie::server {

class Session;

/// The ways in which a connection launches an instance. A part of its session, on its strand; each
/// is answered by one Session::complete().
class SessionLaunches {
 public:
  SessionLaunches(Session& session, SessionEvents& events, SessionWork& work)
      : session_(session), events_(events), work_(work) {}

  void launch(protocol::LaunchInstance request);
  void launch(protocol::LaunchInstanceFromRegistry request);
  void launch(protocol::LaunchServerInstance request);

 private:
  using InstanceRef = SessionEvents::InstanceRef;

  /// `spec` with what the request says.
  void launch(uint32_t corr_id, store::ProgramReference program, host::LaunchSpec spec);
  void launched(uint32_t corr_id, host::LaunchMode mode, const Result<InstanceRef>& launched);
  /// This, as long as the session lives.
  std::shared_ptr<SessionLaunches> shared();

  Session& session_;
  SessionEvents& events_;
  SessionWork& work_;
};

}  // namespace pie::server
