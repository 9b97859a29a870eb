#include "net/http_head.h"

#include <boost/beast/core/string.hpp>

#include "net/http_text.h"

namespace pie::net {

std::string refusal_text(const HttpRefusal& refusal) {
  HttpResponseHead head{refusal.status, {{"content-type", "text/plain; charset=utf-8"}}};
  head.fields.insert(head.fields.end(), refusal.fields.begin(), refusal.fields.end());
  const std::string text = refusal.text + "\n";
  return response_text(head, Framing::kLength, text.size(), false) + text;
}

HeadScanner::State HeadScanner::scan(std::string_view bytes) {
  for (; at_ < bytes.size(); ++at_) {
    const char c = bytes[at_];
    if (c == '\0') return bad("got a zero byte in the head");
    if (at_ == line_ && line_ != begin_ && (c == ' ' || c == '\t') && !takes_folds_)
      return bad("got a line of the head that begins with a blank");
    if (c == '\n') return bad("got a line of the head that does not end with CR LF");
    if (c != '\r') continue;
    if (at_ + 1 == bytes.size()) return State::kMore;
    if (bytes[at_ + 1] != '\n') return bad("got a CR within a line of the head");
    const bool is_empty = at_ == line_, is_first = line_ == begin_;
    line_ = ++at_ + 1;
    if (is_empty && !is_first) {
      ++at_;
      return State::kWhole;
    }
    if (is_empty) begin_ = line_;
  }
  return State::kMore;
}

std::optional<HttpRefusal> framing_fault(const boost::beast::http::fields& fields,
                                         unsigned version) {
  using Field = boost::beast::http::field;
  const size_t count = fields.count(Field::transfer_encoding);
  if (count == 0) return std::nullopt;
  constexpr unsigned kHttp11 = 11;
  if (version < kHttp11) return HttpRefusal{400, "got a Transfer-Encoding in HTTP/1.0"};
  if (fields.count(Field::content_length) > 0)
    return HttpRefusal{400, "got both Transfer-Encoding and Content-Length, expected one of them"};
  if (count > 1 || !boost::beast::iequals(fields[Field::transfer_encoding], "chunked"))
    return HttpRefusal{501, "got a transfer coding that is not served, expected chunked alone"};
  return std::nullopt;
}

}  // namespace pie::net
