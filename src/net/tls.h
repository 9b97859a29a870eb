#pragma once
#include <openssl/ssl.h>

#include <boost/asio/ssl/context.hpp>
#include <boost/system/error_code.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace pie::net {

/// Of a server, by the PEM files of its certificate's chain and its key. kInvalidArgument names the
/// one that is no use.
Result<boost::asio::ssl::context> server_tls(const std::string& certificate,
                                             const std::string& key);
/// Of a client: trusts the system's authorities and those of `ca_file`, which the user names by
/// `setting`; "": none. kInvalidArgument.
Result<std::shared_ptr<boost::asio::ssl::context>> client_tls(const std::string& ca_file,
                                                              std::string_view setting);

/// The server of the handshake to come must prove to be `host`, a name or an address.
void expect_tls_peer(SSL* ssl, const std::string& host);

/// Why a client's handshake failed.
struct TlsFailure {
  bool is_certificate = false;  ///< the server's certificate is not trusted
  std::string text;             ///< the reason, and the way out
};
/// `ca_option`: where the user names certificates to trust; `plain_scheme`: what the address begins
/// with when the server speaks no TLS ("ws://").
TlsFailure tls_failure(const SSL* ssl, const boost::system::error_code& failed,
                       std::string_view ca_option, std::string_view plain_scheme);

}  // namespace pie::net
