#pragma once
#include <boost/asio/ip/address.hpp>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/work_queue.h"

namespace pie::net {

/// Looks names up on a few threads of its own, of which one user has at most two: a name whose
/// servers do not answer holds up nobody else. Thread-safe.
class NameLookup {
 public:
  using Addresses = std::vector<boost::asio::ip::address>;
  /// Blocks for as long as it takes. The error's message is the resolver's.
  using Function = std::function<Result<Addresses>(const std::string& name)>;
  /// `function` null: the system's resolver, with short waits for servers that do not answer.
  explicit NameLookup(Function function);

  /// `done` comes once, from a thread of its own, unless the ticket is cancelled before the look-up
  /// has begun, or stop() comes.
  Result<WorkQueue::Ticket> start(const std::string& user, std::string name,
                                  std::function<void(Result<Addresses>)> done);
  /// Waits for look-ups that have begun, and drops the others.
  void stop() { queue_.stop(WorkQueue::Rest::kDrop); }

 private:
  const Function function_;
  WorkQueue queue_;
};

}  // namespace pie::net
