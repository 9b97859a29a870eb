#include "pie/http.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "pie/lift.h"

namespace inferlet::http {
namespace {

/// The cases of error-code, in their order.
constexpr std::array kErrors = {"DNS-timeout",
                                "DNS-error",
                                "destination-not-found",
                                "destination-unavailable",
                                "destination-IP-prohibited",
                                "destination-IP-unroutable",
                                "connection-refused",
                                "connection-terminated",
                                "connection-timeout",
                                "connection-read-timeout",
                                "connection-write-timeout",
                                "connection-limit-reached",
                                "TLS-protocol-error",
                                "TLS-certificate-error",
                                "TLS-alert-received",
                                "HTTP-request-denied",
                                "HTTP-request-length-required",
                                "HTTP-request-body-size",
                                "HTTP-request-method-invalid",
                                "HTTP-request-URI-invalid",
                                "HTTP-request-URI-too-long",
                                "HTTP-request-header-section-size",
                                "HTTP-request-header-size",
                                "HTTP-request-trailer-section-size",
                                "HTTP-request-trailer-size",
                                "HTTP-response-incomplete",
                                "HTTP-response-header-section-size",
                                "HTTP-response-header-size",
                                "HTTP-response-body-size",
                                "HTTP-response-trailer-section-size",
                                "HTTP-response-trailer-size",
                                "HTTP-response-transfer-coding",
                                "HTTP-response-content-coding",
                                "HTTP-response-timeout",
                                "HTTP-upgrade-failed",
                                "HTTP-protocol-error",
                                "loop-detected",
                                "configuration-error",
                                "internal-error"};
/// The cases of method that have no text; the one after them does.
constexpr std::array kMethods = {"GET",     "HEAD",    "POST",  "PUT",  "DELETE",
                                 "CONNECT", "OPTIONS", "TRACE", "PATCH"};
constexpr uint32_t kWriteBytesMax = 4096;  // blocking-write-and-flush takes no more

std::string name_of(const abi::ErrorCode& error) {
  return error.number < kErrors.size() ? kErrors[error.number] : "unknown error";
}

/// Why a stream failed; takes the error over.
std::string text_of(const abi::StreamFailure& failure) {
  if (failure.is_closed != 0) return "closed";
  abi::Text text;
  abi::io_error_text(failure.error, &text);
  abi::io_error_drop(failure.error);
  return lift::text(text);
}

/// An own<fields> of the headers.
Result<abi::Handle> fields_of(const Headers& headers) {
  std::vector<abi::Field> entries;
  for (const auto& [name, value] : headers) {
    const abi::Text bytes = lift::lend(value);
    entries.push_back({lift::lend(name), {reinterpret_cast<uint8_t*>(bytes.data), bytes.size}});
  }
  abi::Outcome<abi::Handle> out;
  abi::fields_from_list(entries.data(), static_cast<uint32_t>(entries.size()), &out);
  if (out.is_error != 0) return fail("a header that cannot be sent");
  return out.value;
}

/// Takes a fields handle over.
Headers headers_of(abi::Handle fields) {
  abi::Slice<abi::Field> entries;
  abi::fields_entries(fields, &entries);
  abi::fields_drop(fields);
  Headers headers;
  for (uint32_t i = 0; i < entries.size; ++i) {
    const abi::Bytes value = entries.data[i].value;
    headers.emplace_back(lift::text(entries.data[i].name),
                         lift::text({reinterpret_cast<char*>(value.data), value.size}));
  }
  if (entries.size != 0) std::free(entries.data);
  return headers;
}

std::string text_or_empty(const abi::Option<abi::Text>& out) {
  return out.has == 0 ? std::string() : lift::text(out.value);
}

}  // namespace

Body::Body(abi::Handle body) : source_(std::make_shared<Source>()) {
  source_->body = OwnedHandle<abi::incoming_body_drop>(body);
  abi::Outcome<abi::Handle> out;
  abi::incoming_body_stream(body, &out);
  source_->stream = OwnedHandle<abi::input_stream_drop>(out.value);
}

Task<Result<std::string>> Body::read(uint64_t bytes_max) { return read_from(source_, bytes_max); }

Task<Result<std::string>> Body::read_all(uint64_t bytes_max) {
  return read_all_from(source_, bytes_max);
}

Task<Result<std::string>> Body::read_from(std::shared_ptr<Source> source, uint64_t bytes_max) {
  co_await until_ready(Pollable(abi::input_stream_subscribe(source->stream.get())));
  abi::Outcome<abi::ReadValue> out;
  abi::input_stream_blocking_read(source->stream.get(), bytes_max, &out);
  if (out.is_error == 0)
    co_return lift::text({reinterpret_cast<char*>(out.value.bytes.data), out.value.bytes.size});
  if (out.value.failure.is_closed != 0) co_return std::string();
  co_return fail(text_of(out.value.failure));
}

Task<Result<std::string>> Body::read_all_from(std::shared_ptr<Source> source, uint64_t bytes_max) {
  constexpr uint64_t kPieceMax = 64 * 1024;
  std::string all;
  for (;;) {
    const Result<std::string> piece = co_await read_from(source, kPieceMax);
    if (!piece) co_return piece;
    if (piece->empty()) co_return all;
    all += *piece;
    if (all.size() > bytes_max) co_return fail("the body is longer than expected");
  }
}

BodyWriter::BodyWriter(abi::Handle body) : body_(body) {
  abi::Outcome<abi::Handle> out;
  abi::outgoing_body_write(body, &out);
  stream_ = OwnedHandle<abi::output_stream_drop>(out.value);
}

Result<void> BodyWriter::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::string_view piece = bytes.substr(0, kWriteBytesMax);
    abi::Outcome<abi::StreamFailure> out;
    abi::output_stream_blocking_write(stream_.get(), piece.data(), lift::size(piece), &out);
    if (out.is_error != 0) return fail(text_of(out.value));
    bytes.remove_prefix(piece.size());
  }
  return {};
}

Result<void> BodyWriter::finish() {
  stream_ = {};
  abi::ErrorOutcome out;
  abi::outgoing_body_finish(body_.release(), 0, 0, &out);
  if (out.is_error != 0) return fail(name_of(out.error));
  return {};
}

std::string Request::method() const {
  abi::Case out;
  abi::request_method(handle_.get(), &out);
  return out.number < kMethods.size() ? kMethods[out.number] : lift::text(out.text);
}

std::string Request::target() const {
  abi::Option<abi::Text> out;
  abi::request_target(handle_.get(), &out);
  return text_or_empty(out);
}

std::string Request::authority() const {
  abi::Option<abi::Text> out;
  abi::request_authority(handle_.get(), &out);
  return text_or_empty(out);
}

Headers Request::headers() const { return headers_of(abi::request_headers(handle_.get())); }

Body Request::body() {
  abi::Outcome<abi::Handle> out;
  abi::request_consume(handle_.get(), &out);
  if (out.is_error != 0) __builtin_trap();  // asked for twice
  return Body(out.value);
}

Result<BodyWriter> Responder::start(uint16_t status, const Headers& headers) {
  const Result<abi::Handle> fields = fields_of(headers);
  if (!fields) return fail(fields.error());
  OwnedHandle<abi::response_drop> response(abi::response_new(*fields));
  if (abi::response_set_status(response.get(), status) != 0) return fail("a status that is none");
  abi::Outcome<abi::Handle> body;
  abi::response_body(response.get(), &body);
  BodyWriter writer(body.value);
  abi::response_outparam_set(handle_.release(), 0, response.release(), 0, 0, 0, 0, 0, 0);
  return writer;
}

Result<void> Responder::send(uint16_t status, const Headers& headers, std::string_view body) {
  Headers whole = headers;
  whole.emplace_back("content-length", std::to_string(body.size()));
  Result<BodyWriter> writer = start(status, whole);
  if (!writer) return fail(writer.error());
  if (auto written = writer->write(body); !written) return written;
  return writer->finish();
}

namespace {

struct Url {
  bool is_https;
  std::string_view authority, target;
};

Result<Url> parse(std::string_view url) {
  Url out{url.starts_with("https://"), {}, {}};
  if (!out.is_https && !url.starts_with("http://")) return fail("HTTP-request-URI-invalid");
  url.remove_prefix(out.is_https ? 8 : 7);
  const size_t path = std::min(url.find('/'), url.size());
  out.authority = url.substr(0, path);
  out.target = path == url.size() ? std::string_view("/") : url.substr(path);
  return out;
}

Result<abi::Handle> request_of(const Call& call) {
  const Result<Url> url = parse(call.url);
  if (!url) return fail(url.error());
  Headers headers = call.headers;
  if (!call.body.empty()) headers.emplace_back("content-length", std::to_string(call.body.size()));
  const Result<abi::Handle> fields = fields_of(headers);
  if (!fields) return fields;
  OwnedHandle<abi::outgoing_request_drop> request(abi::outgoing_request_new(*fields));
  const auto method = std::ranges::find(kMethods, call.method);
  const auto number = static_cast<int32_t>(method - kMethods.begin());
  int32_t wrong = abi::outgoing_request_set_method(request.get(), number, call.method.data(),
                                                   lift::size(call.method));
  wrong |= abi::outgoing_request_set_scheme(request.get(), 1, url->is_https ? 1 : 0, nullptr, 0);
  wrong |= abi::outgoing_request_set_authority(request.get(), 1, url->authority.data(),
                                               lift::size(url->authority));
  wrong |= abi::outgoing_request_set_target(request.get(), 1, url->target.data(),
                                            lift::size(url->target));
  if (wrong != 0) return fail("HTTP-request-URI-invalid");
  return request.release();
}

}  // namespace

Task<Result<Response>> fetch(Call call) {
  const Result<abi::Handle> made = request_of(call);
  if (!made) co_return fail(made.error());
  OwnedHandle<abi::outgoing_request_drop> request(*made);
  std::optional<BodyWriter> writer;
  if (!call.body.empty()) {
    abi::Outcome<abi::Handle> body;
    abi::outgoing_request_body(request.get(), &body);
    writer.emplace(body.value);
  }
  abi::ErrorOutcome sent;
  abi::outgoing_handler_handle(request.release(), 0, 0, &sent);
  if (sent.is_error != 0) co_return fail(name_of(sent.error));
  const OwnedHandle<abi::future_response_drop> future(sent.handle);
  // A server may answer without reading everything: the response decides.
  if (writer && writer->write(call.body)) (void)writer->finish();
  co_await until_ready(Pollable(abi::future_response_subscribe(future.get())));
  abi::FutureOutcome got;
  abi::future_response_get(future.get(), &got);
  if (got.outcome.is_error != 0) co_return fail(name_of(got.outcome.error));
  const OwnedHandle<abi::incoming_response_drop> response(got.outcome.handle);
  const auto status = static_cast<uint16_t>(abi::incoming_response_status(response.get()));
  Headers headers = headers_of(abi::incoming_response_headers(response.get()));
  abi::Outcome<abi::Handle> body;
  abi::incoming_response_consume(response.get(), &body);
  co_return Response{status, std::move(headers), Body(body.value)};
}

std::optional<std::string> find(const Headers& headers, std::string_view name) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  for (const auto& [key, value] : headers)
    if (std::ranges::equal(key, name, {}, lower, lower)) return value;
  return std::nullopt;
}

}  // namespace inferlet::http
