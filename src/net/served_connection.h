#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "net/shares.h"
#include "net/transport.h"

namespace pie::net {

/// What a listener has accepted, for whoever speaks over it.
struct Accepted {
  Transport transport;  ///< on a strand of its own
  std::string peer_address;
  /// Among the connections of its address whose peer is not known; given back before run() is over,
  /// or in drop().
  std::unique_ptr<Shares::Place> place;
  std::chrono::steady_clock::time_point since;
};

/// One accepted connection while one protocol is spoken over it. Everything runs on its strand.
class ServedConnection {
 public:
  virtual ~ServedConnection() = default;
  /// Until it is over. Returns what goes on over the same transport (an upgrade), or null. After an
  /// exception (there is no memory) the listener calls drop() and nothing else.
  virtual boost::asio::awaitable<std::shared_ptr<ServedConnection>> run() = 0;
  /// Ends soon, after what is due to the peer.
  virtual void shut_down() = 0;
  /// Ends at once. Afterwards it needs nothing of the listener's. Fine to repeat.
  virtual void drop() = 0;
};
using MakeConnection = std::function<std::shared_ptr<ServedConnection>(Accepted)>;

}  // namespace pie::net
