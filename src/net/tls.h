#pragma once
#include <openssl/ssl.h>

#include <boost/system/error_code.hpp>
#include <string>
#include <string_view>

namespace pie::net {

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
