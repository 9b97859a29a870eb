#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/io_context.h"
#include "net/io_threads.h"
#include "net/served_connection.h"
#include "net/shares.h"

namespace pie::net {

struct ListenerConfig {
  std::string host = "127.0.0.1";        ///< an address or a name of this machine
  uint16_t port = 0;                     ///< 0 = a free one
  uint32_t connections_max = 256;        ///< more wait in the kernel's queue
  uint32_t unknown_per_address_max = 0;  ///< Accepted::place; 0 = unlimited
  uint64_t tls_ms_max = 10'000;          ///< of the handshake
  std::string tls_certificate;           ///< PEM chain file; with tls_key it speaks TLS alone
  std::string tls_key;                   ///< PEM file
};

/// One port: binds it, accepts connections within its limits, under TLS where it has a certificate,
/// and runs each on a strand until it is over. Out of descriptors or memory it pauses and goes on.
class Listener final : public std::enable_shared_from_this<Listener> {
 public:
  /// Binds and listens. `make` is called on the connection's strand. kUnavailable with the system's
  /// reason when the address can't be had; kInvalidArgument names a file of TLS that is no use.
  static Result<std::shared_ptr<Listener>> open(IoThreads& threads, const ListenerConfig& config,
                                                MakeConnection make);
  Listener(IoThreads& threads, const ListenerConfig& config, MakeConnection make);

  uint16_t port() const { return port_; }
  /// Stops accepting and shuts each connection down; those that are left after `drain_ms_max` are
  /// dropped. `done` comes once, from a serving thread, when the port is free and all are gone. Any
  /// thread.
  void stop(uint64_t drain_ms_max, std::function<void()> done);

 private:
  enum class Ending { kNo, kShutDown, kDrop };
  /// One connection, whatever is spoken over it at the moment. On its strand.
  struct Slot {
    boost::asio::any_io_executor executor;
    std::shared_ptr<ServedConnection> current;
    Ending ending = Ending::kNo;
  };
  using SlotRef = std::shared_ptr<Slot>;

  Result<void> bind();
  static boost::asio::awaitable<void> accept_loop(std::shared_ptr<Listener> self);
  /// One connection, or a wait until there may be one more; what went wrong, if something did.
  boost::asio::awaitable<std::string> accept_one();
  void serve(boost::asio::ip::tcp::socket socket);
  static boost::asio::awaitable<void> run(std::shared_ptr<Listener> self, SlotRef slot,
                                          Accepted accepted);
  static void end(const SlotRef& slot, Ending ending);
  void end_all(Ending ending);
  void forget(const SlotRef& slot);
  void tell_if_stopped();
  bool is_full();
  bool is_stopped();

  const ListenerConfig config_;
  const MakeConnection make_;
  std::optional<boost::asio::ssl::context> tls_;
  Shares unknown_;  ///< connections of each address whose peer is not known
  boost::asio::io_context& io_;
  boost::asio::ip::tcp::acceptor acceptor_;  ///< on a strand of its own
  Signal changed_;                           ///< a connection has gone, or all are to; likewise
  Deadline drained_;                         ///< likewise
  uint16_t port_ = 0;
  std::mutex mutex_;  ///< of what follows
  bool is_stopped_ = false;
  bool is_accepting_ = true;
  std::set<SlotRef> slots_;
  std::vector<std::function<void()>> when_stopped_;
};

}  // namespace pie::net
