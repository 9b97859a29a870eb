#include "net/http_text.h"

#include <boost/beast/http.hpp>
#include <charconv>
#include <ctime>
#include <utility>

namespace pie::net {
namespace {

void add(std::string& text, std::string_view name, std::string_view value) {
  text.append(name).append(": ").append(value).append("\r\n");
}

void add_message(std::string& text, const HttpFields& fields, Framing framing,
                 std::optional<uint64_t> length) {
  for (const auto& [name, value] : fields)
    if (!same_field_name(name, "content-length") && !is_connection_field(name))
      add(text, name, value);
  if (framing == Framing::kLength) add(text, "content-length", std::to_string(length.value_or(0)));
  if (framing == Framing::kChunked) add(text, "transfer-encoding", "chunked");
}

std::string chunk_text(const std::string& bytes) {
  char digits[17];
  const auto end = std::to_chars(digits, digits + sizeof digits, bytes.size(), 16).ptr;
  std::string text(digits, end);
  text.reserve(text.size() + bytes.size() + 4);
  return text.append("\r\n").append(bytes).append("\r\n");
}

std::string last_chunk_text(const HttpFields& trailers) {
  std::string text = "0\r\n";
  for (const auto& [name, value] : trailers) add(text, name, value);
  return text + "\r\n";
}

/// IMF-fixdate (RFC 9110, section 5.6.7).
std::string date_now() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[40];
  return {text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &utc)};
}

}  // namespace

std::string response_text(const HttpResponseHead& head, Framing framing,
                          std::optional<uint64_t> length, Persistence persistence) {
  const auto reason =
      boost::beast::http::obsolete_reason(static_cast<boost::beast::http::status>(head.status));
  std::string text = "HTTP/1.1 " + std::to_string(head.status) + " " +
                     std::string(reason.data(), reason.size()) + "\r\n";
  add_message(text, head.fields, framing, length);
  if (!find_field(head.fields, "date")) add(text, "date", date_now());
  add(text, "connection", persistence == Persistence::kKeepAlive ? "keep-alive" : "close");
  return text + "\r\n";
}

std::string request_text(const HttpRequestHead& head, Framing framing,
                         std::optional<uint64_t> length) {
  std::string text = head.method + " " + head.target + " HTTP/1.1\r\n";
  add(text, "host", head.authority);
  add_message(text, head.fields, framing, length);
  add(text, "connection", "close");
  return text + "\r\n";
}

BodyText take_body_text(BodyPipe& body, Framing framing) {
  const bool is_chunked = framing == Framing::kChunked;
  BodyPipe::Read got = body.read(BodyPipe::kDefaultBytesMax);
  if (got.state == BodyPipe::Read::State::kFailed) return {BodyText::State::kFailed, {}};
  if (got.state == BodyPipe::Read::State::kEnd)
    return {BodyText::State::kLast, is_chunked ? last_chunk_text(body.trailers()) : ""};
  if (got.bytes.empty()) return {BodyText::State::kNothingYet, {}};
  return {BodyText::State::kText, is_chunked ? chunk_text(got.bytes) : std::move(got.bytes)};
}

}  // namespace pie::net
