#include "net/http_request.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <string_view>

namespace pie::net {
namespace {

namespace http = boost::beast::http;
using boost::system::error_code;

constexpr unsigned kHttp10 = 10;

uint16_t status_of(const error_code& failed) {
  if (failed == http::error::header_limit || failed == http::error::buffer_overflow) return 431;
  if (failed == http::error::body_limit) return 413;
  return 400;
}

/// absolute-form (RFC 9112, section 3.2.2)
void split_absolute_target(HttpRequestHead& head) {
  constexpr std::string_view kScheme = "http://";
  if (lower_case(head.target.substr(0, kScheme.size())) != kScheme) return;
  const size_t path = std::min(head.target.find_first_of("/?", kScheme.size()), head.target.size());
  head.authority = head.target.substr(kScheme.size(), path - kScheme.size());
  head.target.erase(0, path);
  if (!head.target.starts_with('/')) head.target.insert(0, "/");
}

}  // namespace

HttpFields end_to_end_fields(const http::fields& from) {
  HttpFields fields;
  for (const auto& one : from) {
    const std::string name(one.name_string().data(), one.name_string().size());
    if (!is_connection_field(name))
      fields.emplace_back(name, std::string(one.value().data(), one.value().size()));
  }
  return fields;
}

std::optional<HttpRefusal> parse_request(const std::string& head, RequestParser& parser) {
  error_code failed;
  parser.put(boost::asio::buffer(head), failed);
  if (failed) return HttpRefusal{status_of(failed), "got a bad request: " + failed.message()};
  return framing_fault(parser.get(), parser.get().version());
}

std::optional<HttpRequestHead> request_head(const http::request_header<>& message) {
  HttpRequestHead head;
  head.method = std::string(message.method_string().data(), message.method_string().size());
  head.target = std::string(message.target().data(), message.target().size());
  head.fields = end_to_end_fields(message);
  const size_t hosts = message.count(http::field::host);
  if (hosts > 1 || (hosts == 0 && message.version() > kHttp10)) return std::nullopt;
  if (hosts > 0) head.authority = std::string(message[http::field::host]);
  split_absolute_target(head);
  if (!is_http_authority(head.authority)) return std::nullopt;
  const bool is_asterisk = head.target == "*" && head.method == "OPTIONS";
  if (!is_asterisk && !is_http_target(head.target)) return std::nullopt;
  return head;
}

}  // namespace pie::net
