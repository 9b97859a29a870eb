#pragma once
#include <boost/asio/ssl/context.hpp>
#include <cstdint>
#include <memory>

#include "net/served_connection.h"

namespace pie::net {

/// The server's side of the handshake, of at most `ms_max`; then what `make` makes goes on. Who
/// speaks plain HTTP instead is told. `tls` outlives it.
std::shared_ptr<ServedConnection> accept_tls(Accepted accepted, boost::asio::ssl::context& tls,
                                             uint64_t ms_max, const MakeConnection& make);

}  // namespace pie::net
