#pragma once
#include <string>

#include "base/clock.h"
#include "base/ledger.h"
#include "base/limits.h"
#include "base/work_queue.h"
#include "instance/instance_manager.h"
#include "net/shares.h"
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

}  // namespace pie::server
