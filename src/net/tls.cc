#include "net/tls.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <boost/asio/error.hpp>
#include <boost/asio/ssl/error.hpp>

#include "net/ip_address.h"

namespace pie::net {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

/// What somebody can do about it.
std::string way_out(long verdict, std::string_view ca_option) {
  switch (verdict) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "the server needs one that is valid now (or this machine's clock is wrong)";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: return "use a name or an address that it is for";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      return fmt::format("to trust it, name its authority's certificate by {}", ca_option);
    default: return "the server needs another one";
  }
}

void take_modern_versions(asio::ssl::context& tls) {
  tls.set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                  asio::ssl::context::no_tlsv1_1);
}

Error unusable(std::string_view what, const std::string& file, const error_code& failed) {
  return {ErrorCode::kInvalidArgument,
          fmt::format("[tls {}] got {} ({}), expected a PEM file that belongs to its pair", what,
                      file, failed.message())};
}

}  // namespace

Result<asio::ssl::context> server_tls(const std::string& certificate, const std::string& key) {
  if (certificate.empty() || key.empty())
    return Error{ErrorCode::kInvalidArgument,
                 "[tls] got a certificate or a key alone, expected both"};
  asio::ssl::context tls(asio::ssl::context::tls_server);
  take_modern_versions(tls);
  error_code failed;
  tls.use_certificate_chain_file(certificate, failed);
  if (failed) return unusable("certificate", certificate, failed);
  tls.use_private_key_file(key, asio::ssl::context::pem, failed);
  if (failed) return unusable("key", key, failed);
  return tls;
}

Result<std::shared_ptr<asio::ssl::context>> client_tls(const std::string& ca_file,
                                                       std::string_view setting) {
  auto tls = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
  take_modern_versions(*tls);
  error_code failed;
  tls->set_default_verify_paths(failed);
  if (ca_file.empty()) return tls;
  tls->load_verify_file(ca_file, failed);
  if (failed)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[{}] got {} ({}), expected a PEM file of certificates", setting,
                             ca_file, failed.message())};
  return tls;
}

void expect_tls_peer(SSL* ssl, const std::string& host) {
  X509_VERIFY_PARAM* expected = SSL_get0_param(ssl);
  X509_VERIFY_PARAM_set_hostflags(expected, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  SSL_set_verify(ssl, SSL_VERIFY_PEER, nullptr);
  if (const auto address = IpAddress::parse(host)) {
    X509_VERIFY_PARAM_set1_ip(expected, address->bytes.data(), address->is_v4 ? 4 : 16);
    return;
  }
  SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
           const_cast<char*>(host.c_str()));
  X509_VERIFY_PARAM_set1_host(expected, host.data(), host.size());
}

TlsFailure tls_failure(const SSL* ssl, const boost::system::error_code& failed,
                       std::string_view ca_option, std::string_view plain_scheme) {
  namespace error = boost::asio::error;
  const bool is_tls = failed.category() == error::get_ssl_category();
  const int reason = is_tls ? ERR_GET_REASON(static_cast<unsigned long>(failed.value())) : 0;
  if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
    const long verdict = SSL_get_verify_result(ssl);
    return {true, fmt::format("its certificate is not trusted: {}; {}",
                              X509_verify_cert_error_string(verdict), way_out(verdict, ca_option))};
  }
  if (reason == SSL_R_WRONG_VERSION_NUMBER)
    return {false, fmt::format("the port does not seem to speak TLS: use {}", plain_scheme)};
  const bool is_cut = failed == error::eof || failed == error::connection_reset ||
                      failed == boost::asio::ssl::error::stream_truncated;
  if (is_cut)
    return {false, fmt::format("it closed the connection at the TLS handshake; if the port speaks "
                               "no TLS, use {}",
                               plain_scheme)};
  return {false, failed.message()};
}

}  // namespace pie::net
