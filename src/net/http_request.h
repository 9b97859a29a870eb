#pragma once
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <optional>
#include <string>

#include "base/http.h"
#include "net/http_head.h"

namespace pie::net {

using RequestParser = boost::beast::http::request_parser<boost::beast::http::buffer_body>;

/// The fields of a message that are not about its connection.
HttpFields end_to_end_fields(const boost::beast::http::fields& from);
/// Gives a whole head to the parser, whose limits are set; why the request is refused, if it is.
std::optional<HttpRefusal> parse_request(const std::string& head, RequestParser& parser);
/// What a request asks for; nothing when it has no valid target or Host.
std::optional<HttpRequestHead> request_head(const boost::beast::http::request_header<>& message);

}  // namespace pie::net
