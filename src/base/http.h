#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pie {

/// Header or trailer fields, in their order.
using HttpFields = std::vector<std::pair<std::string, std::string>>;

/// What comes before a request's body.
struct HttpRequestHead {
  std::string method = "GET";
  std::string scheme = "http";
  std::string authority;     ///< host[:port]
  std::string target = "/";  ///< path and query
  HttpFields fields;         ///< without Host
};

/// What comes before a response's body.
struct HttpResponseHead {
  uint16_t status = 200;
  HttpFields fields;
};

/// Why an exchange failed: `code` is a case of wasi:http/types error-code.
struct HttpFailure {
  std::string code;
  std::string detail;
};

/// The text with its ASCII letters in lower case.
std::string lower_case(std::string_view text);
/// Whether it is a `token` (RFC 9110, section 5.6.2): a method, a field's name.
bool is_http_token(std::string_view text);
/// Whether it can be a field's value (RFC 9110, section 5.5): no control characters but tabs.
bool is_http_field_value(std::string_view text);
/// Whether it can stand in a request line as path and query: begins with '/', printable ASCII
/// without spaces, no fragment.
bool is_http_target(std::string_view text);
/// Whether it can be host[:port]: printable ASCII without spaces, path, user or fragment.
bool is_http_authority(std::string_view text);
/// Whether two field names are the same: letters' case does not count.
bool same_field_name(std::string_view a, std::string_view b);
/// The first value of the field, null when there is none.
const std::string* find_field(const HttpFields& fields, std::string_view name);
/// The length that Content-Length promises, if it is there and a number.
std::optional<uint64_t> content_length(const HttpFields& fields);
/// Whether the field belongs to the connection and not to the message (RFC 9110, section 7.6.1), or
/// says where to send it: the one who speaks on the socket sets these.
bool is_connection_field(std::string_view name);

}  // namespace pie
