#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pie/handle.h"
#include "pie/http_abi.h"
#include "pie/poll.h"
#include "pie/result.h"
#include "pie/task.h"

namespace inferlet::http {

/// Names are told apart without regard to case. The host sets Host, Connection, Transfer-Encoding
/// and their like; Content-Length is yours, and without it a body goes in chunks.
using Headers = std::vector<std::pair<std::string, std::string>>;

/// A body that comes in. Dropped before its end, the rest is not wanted; a task that
/// reads it keeps it.
class Body {
 public:
  /// Some bytes, at most `bytes_max`, when there are any; "" at the end.
  Task<Result<std::string>> read(uint64_t bytes_max = 64 * 1024);
  /// All of it; an error when it is longer than `bytes_max`.
  Task<Result<std::string>> read_all(uint64_t bytes_max = 1024 * 1024);
  /// Ready when read() does not wait.
  Pollable pollable() const { return Pollable(abi::input_stream_subscribe(source_->stream.get())); }

  /// Takes an incoming-body handle over.
  explicit Body(abi::Handle body);

 private:
  struct Source {
    OwnedHandle<abi::incoming_body_drop> body;
    OwnedHandle<abi::input_stream_drop> stream;
  };
  static Task<Result<std::string>> read_from(std::shared_ptr<Source> source, uint64_t bytes_max);
  static Task<Result<std::string>> read_all_from(std::shared_ptr<Source> source,
                                                 uint64_t bytes_max);

  std::shared_ptr<Source> source_;
};

/// A body that goes out: finish() it, or the other side sees it break off.
class BodyWriter {
 public:
  /// Waits until the other side takes it, and other tasks with it: `co_await
  /// until_ready(pollable())` before where that side may be slow. An error when it has gone.
  Result<void> write(std::string_view bytes);
  Result<void> finish();
  /// Ready when write() of a few bytes does not wait.
  Pollable pollable() const { return Pollable(abi::output_stream_subscribe(stream_.get())); }

  /// Takes an outgoing-body handle over.
  explicit BodyWriter(abi::Handle body);

 private:
  OwnedHandle<abi::outgoing_body_drop> body_;
  OwnedHandle<abi::output_stream_drop> stream_;
};

/// The request that a handler serves.
class Request {
 public:
  std::string method() const;  ///< "GET"
  std::string target() const;  ///< path and query
  std::string authority() const;
  Headers headers() const;
  Body body();  ///< once

  explicit Request(abi::Handle handle) : handle_(handle) {}

 private:
  OwnedHandle<abi::request_drop> handle_;
};

/// The way to answer it, once.
class Responder {
 public:
  /// The whole answer at once.
  Result<void> send(uint16_t status, const Headers& headers, std::string_view body);
  /// The head now, the body piece by piece: each leaves as it is written.
  Result<BodyWriter> start(uint16_t status, const Headers& headers);

  explicit Responder(abi::Handle handle) : handle_(handle) {}

 private:
  OwnedHandle<abi::response_outparam_drop> handle_;
};

/// A response to fetch().
struct Response {
  uint16_t status;
  Headers headers;
  Body body;
};

/// A request to somebody else's server, which the operator must allow (http_allow).
struct Call {
  std::string method = "GET";
  std::string url;  ///< http://host[:port]/path or https://...
  Headers headers;
  std::string body;
};
/// Sends it; gives the response when its head is there. The error is the name of wasi:http's
/// error-code
/// ("HTTP-request-denied", "connection-refused").
Task<Result<Response>> fetch(Call call);

/// The first value of a header; none when there is none.
std::optional<std::string> find(const Headers& headers, std::string_view name);

}  // namespace inferlet::http

/// What a program that serves HTTP defines instead of inferlet_main (`pie build --http`). It is
/// called once for each request, in a fresh copy of the program.
void inferlet_http(inferlet::http::Request request, inferlet::http::Responder responder);
