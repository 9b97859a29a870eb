#include "net/http_client.h"

#include <algorithm>
#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <exception>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "net/host_policy.h"
#include "net/http_head.h"
#include "net/http_text.h"
#include "net/io_context.h"
#include "net/name_lookup.h"
#include "net/shares.h"
#include "net/tls.h"

namespace pie::net {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

constexpr size_t kReadBytes = 16 << 10;

/// Ends a call: what it failed of.
struct Failed {
  HttpFailure failure;
};
[[noreturn]] void fail(const char* code, const std::string& detail = {}) {
  throw Failed{{code, detail}};
}

/// A status line may end after the number, which the parser does not take.
std::string with_reason(std::string head) {
  constexpr size_t kNumberEnd = std::string_view("HTTP/1.1 200").size();
  if (head.size() > kNumberEnd && head[kNumberEnd] == '\r') head.insert(kNumberEnd, " ");
  return head;
}

IpAddress address_of(const asio::ip::address& address) {
  return address.is_v4() ? IpAddress::v4(address.to_v4().to_bytes())
                         : IpAddress::v6(address.to_v6().to_bytes());
}

uint64_t milliseconds(uint64_t ns, uint64_t ms_max) {
  return ns == 0 ? ms_max : std::min(std::max<uint64_t>(ns / 1'000'000, 1), ms_max);
}

/// What all calls of a client share; it goes with the last of them.
struct Shared {
  explicit Shared(HttpClientConfig one) : config(std::move(one)) {}
  const HttpClientConfig config;
  HostPolicy policy;
  asio::ssl::context tls{asio::ssl::context::tls_client};
  Shares all{config.calls_max};  ///< with one holder
  Shares users{config.calls_per_user_max};
  NameLookup names{config.look_up};
};

/// What a call has of them.
struct Places {
  std::unique_ptr<Shares::Place> of_all, of_user;  ///< of_user null: it counts as nobody's
};

/// One request and its response, on a strand.
class Call final : public std::enable_shared_from_this<Call> {
 public:
  using Done = std::function<void(HttpCallAnswer)>;
  Call(asio::io_context& io, std::shared_ptr<Shared> shared, HttpDestination destination,
       HttpCallRequest request, Done done, Places places)
      : shared_(std::move(shared)),
        places_(std::move(places)),
        destination_(std::move(destination)),
        request_(std::move(request)),
        done_(std::move(done)),
        strand_(asio::make_strand(io)),
        stream_(strand_, shared_->tls),
        deadline_(strand_),
        body_deadline_(strand_),
        body_signal_(strand_),
        read_signal_(strand_) {}

  void start() { asio::co_spawn(strand_, run(shared_from_this()), asio::detached); }
  /// Any thread. After the answer it does nothing.
  void cancel() {
    asio::post(strand_, [self = shared_from_this()] {
      if (!std::exchange(self->done_, nullptr)) return;
      self->close("connection-terminated");
    });
  }

 private:
  using Parser = http::response_parser<http::buffer_body>;
  tcp::socket& socket() { return stream_.next_layer(); }

  /// Ends what is going on; what is awaited fails, for the reason told here.
  void close(const char* code) {
    if (reason_.empty()) reason_ = code;
    error_code ignored;
    if (lookup_) lookup_->cancel();
    socket().close(ignored);
    closed_ = true;
    body_signal_.set();
    read_signal_.set();
  }
  void arm(Deadline& deadline, uint64_t ms, const char* code) {
    deadline.arm(ms, [self = shared_from_this(), code] { self->close(code); });
  }
  /// Throws Failed when the operation has failed: with the reason of close(), else with `code`.
  void check(const error_code& failed, const char* code) const {
    if (!reason_.empty()) fail(reason_.c_str());
    if (failed) fail(code, failed.message());
  }
  std::function<void()> waker() {
    return [weak = weak_from_this(), on = strand_] {
      asio::post(on, [weak] {
        const auto self = weak.lock();
        if (!self) return;
        self->body_signal_.set();
        self->read_signal_.set();
      });
    };
  }

  static asio::awaitable<void> run(std::shared_ptr<Call> self) {
    HttpFailure failure;
    try {
      co_await connect(self);
      if (self->destination_.scheme == "https")
        co_await talk(self, self->stream_);
      else
        co_await talk(self, self->socket());
    } catch (const Failed& failed) {
      failure = failed.failure;
    } catch (const std::exception& e) {
      failure = {"internal-error", e.what()};
    }
    self->deadline_.disarm();
    self->close("connection-terminated");
    self->places_ = {};
    if (self->request_.body) self->request_.body->cancel();
    if (failure.code.empty()) co_return;
    if (self->answer_body_) self->answer_body_->fail(failure);
    if (auto done = std::exchange(self->done_, nullptr)) done({failure, {}, nullptr});
  }

  static asio::awaitable<std::vector<tcp::endpoint>> endpoints(std::shared_ptr<Call> self) {
    std::vector<tcp::endpoint> found;
    if (self->destination_.address) {
      found.emplace_back(asio::ip::make_address(self->destination_.host), self->destination_.port);
    } else {
      co_await look_up(self);
      for (const auto& one : self->addresses_) found.emplace_back(one, self->destination_.port);
    }
    std::erase_if(found, [&](const tcp::endpoint& one) {
      return !self->shared_->policy.allows_address(self->destination_, address_of(one.address()));
    });
    if (found.empty()) fail("destination-IP-prohibited");
    co_return found;
  }

  /// Leaves what the destination's name stands for in addresses_.
  static asio::awaitable<void> look_up(std::shared_ptr<Call> self) {
    auto started = self->shared_->names.start(
        self->request_.user, self->destination_.host,
        [weak = self->weak_from_this(), on = self->strand_](Result<NameLookup::Addresses> got) {
          asio::post(on, [weak, got = std::move(got)]() mutable {
            const auto one = weak.lock();
            if (!one) return;
            one->looked_up_ = std::move(got);
            one->read_signal_.set();
          });
        });
    if (!started.ok()) fail("DNS-error", started.error().message);
    self->lookup_ = std::move(*started);
    while (!self->looked_up_ && !self->closed_) co_await self->read_signal_.wait();
    self->check({}, "");
    if (!self->looked_up_->ok()) fail("DNS-error", self->looked_up_->error().message);
    self->addresses_ = std::move(**self->looked_up_);
  }

  static asio::awaitable<void> connect(std::shared_ptr<Call> self) {
    self->arm(self->deadline_,
              milliseconds(self->request_.connect_timeout_ns, self->shared_->config.connect_ms_max),
              "connection-timeout");
    const auto candidates = co_await endpoints(self);
    error_code failed;
    for (const tcp::endpoint& one : candidates) {
      error_code ignored;
      self->socket().close(ignored);
      co_await self->socket().async_connect(one, asio::redirect_error(asio::use_awaitable, failed));
      if (!failed || !self->reason_.empty()) break;
    }
    self->check(failed, failed == asio::error::connection_refused ? "connection-refused"
                                                                  : "destination-unavailable");
    error_code ignored;
    self->socket().set_option(tcp::no_delay(true), ignored);
    if (self->destination_.scheme != "https") co_return;
    SSL* const ssl = self->stream_.native_handle();
    expect_tls_peer(ssl, self->destination_.host);
    co_await self->stream_.async_handshake(asio::ssl::stream_base::client,
                                           asio::redirect_error(asio::use_awaitable, failed));
    if (!failed || !self->reason_.empty()) co_return self->check(failed, "TLS-protocol-error");
    const TlsFailure why = tls_failure(ssl, failed, "the server's setting http_ca_file", "http://");
    fail(why.is_certificate ? "TLS-certificate-error" : "TLS-protocol-error", why.text);
  }

  template <class Stream>
  static asio::awaitable<void> talk(std::shared_ptr<Call> self, Stream& stream) {
    const auto& config = self->shared_->config;
    self->arm(self->deadline_,
              milliseconds(self->request_.first_byte_timeout_ns, config.first_byte_ms_max),
              "HTTP-response-timeout");
    const std::string& method = self->request_.head.method;
    const bool tells_none = method == "POST" || method == "PUT" || method == "PATCH";
    Framing framing = tells_none ? Framing::kLength : Framing::kNone;
    if (self->request_.body)
      framing = self->request_.body_bytes ? Framing::kLength : Framing::kChunked;
    error_code failed;
    const std::string text = request_text(self->request_.head, framing, self->request_.body_bytes);
    co_await asio::async_write(stream, asio::buffer(text),
                               asio::redirect_error(asio::use_awaitable, failed));
    self->check(failed, "connection-terminated");
    if (self->request_.body)
      asio::co_spawn(self->strand_, write_body(self, stream, framing == Framing::kChunked),
                     asio::detached);
    std::optional<Parser> parser;
    boost::beast::flat_buffer buffer(config.header_bytes_max + kReadBytes);
    co_await read_head(self, stream, parser, buffer);
    co_await read_body(self, stream, *parser, buffer);
  }

  template <class Stream>
  static asio::awaitable<void> write_body(std::shared_ptr<Call> self, Stream& stream,
                                          bool chunked) {
    const BodyPipeRef body = self->request_.body;
    error_code failed;
    while (!failed && !self->closed_) {
      BodyPipe::Read got = body->read(BodyPipe::kDefaultBytesMax);
      std::string text;
      if (got.state == BodyPipe::Read::State::kFailed) {
        self->close("connection-terminated");
        break;
      }
      if (got.state == BodyPipe::Read::State::kEnd) {
        if (!chunked) break;
        text = last_chunk_text(body->trailers());
      } else if (got.bytes.empty()) {
        body->on_readable(self->waker());
        co_await self->body_signal_.wait();
        continue;
      } else {
        text = chunked ? chunk_text(got.bytes) : std::move(got.bytes);
      }
      self->arm(self->body_deadline_, self->shared_->config.between_bytes_ms_max,
                "connection-write-timeout");
      co_await asio::async_write(stream, asio::buffer(text),
                                 asio::redirect_error(asio::use_awaitable, failed));
      self->body_deadline_.disarm();
      if (got.state == BodyPipe::Read::State::kEnd) break;
    }
    // A server may answer without reading everything: the response decides.
    if (failed) body->cancel();
  }

  template <class Stream>
  static asio::awaitable<void> read_head(std::shared_ptr<Call> self, Stream& stream,
                                         std::optional<Parser>& parser,
                                         boost::beast::flat_buffer& buffer) {
    constexpr unsigned kFinalStatusMin = 200;  // interim responses are skipped
    constexpr unsigned kSwitching = 101;       // which nobody asked for
    unsigned status = 0;
    do {
      const HeadRead head =
          co_await read_http_head(stream, buffer, self->shared_->config.header_bytes_max, true);
      self->check(head.failed, "connection-terminated");
      constexpr uint16_t kTooLong = 431;
      if (head.refusal)
        fail(head.refusal->status == kTooLong ? "HTTP-response-header-section-size"
                                              : "HTTP-protocol-error",
             head.refusal->text);
      parser.emplace();
      parser->header_limit(static_cast<uint32_t>(self->shared_->config.header_bytes_max));
      parser->body_limit(boost::none);
      parser->skip(self->request_.head.method == "HEAD");
      error_code failed;
      parser->put(asio::buffer(with_reason(head.text)), failed);
      self->check(failed, "HTTP-protocol-error");
      status = parser->get().result_int();
    } while (status < kFinalStatusMin && status != kSwitching);
    if (status == kSwitching) fail("HTTP-protocol-error", "got 101, which nobody asked for");
    constexpr uint16_t kCoding = 501;
    if (const auto fault = framing_fault(parser->get(), parser->get().version()))
      fail(fault->status == kCoding ? "HTTP-response-transfer-coding" : "HTTP-protocol-error",
           fault->text);
    self->answer(head_of(parser->get()));
  }

  static HttpResponseHead head_of(const http::response_header<>& from) {
    HttpResponseHead head;
    head.status = static_cast<uint16_t>(from.result_int());
    for (const auto& one : from) {
      const std::string name(one.name_string().data(), one.name_string().size());
      if (!is_connection_field(name))
        head.fields.emplace_back(name, std::string(one.value().data(), one.value().size()));
    }
    return head;
  }

  /// Hands the head over, with a body that is to come.
  void answer(HttpResponseHead head) {
    answer_body_ = std::make_shared<BodyPipe>();
    answer_body_->on_cancelled([weak = weak_from_this(), on = strand_] {
      asio::post(on, [weak] {
        if (const auto one = weak.lock()) one->close("connection-terminated");
      });
    });
    deadline_.disarm();
    const Done done = std::exchange(done_, nullptr);
    if (!done) fail("connection-terminated");
    done({std::nullopt, std::move(head), answer_body_});
  }

  template <class Stream>
  static asio::awaitable<void> read_body(std::shared_ptr<Call> self, Stream& stream, Parser& parser,
                                         boost::beast::flat_buffer& buffer) {
    const BodyPipeRef pipe = self->answer_body_;
    std::array<char, kReadBytes> piece;  // NOLINT: filled before it is read
    error_code failed;
    while (!parser.is_done() && !pipe->cancelled()) {
      if (pipe->room() == 0) {
        self->arm(self->deadline_, self->shared_->config.unread_ms_max, "connection-read-timeout");
        pipe->on_writable(self->waker());
        co_await self->read_signal_.wait();
        self->deadline_.disarm();
        self->check({}, "");
        continue;
      }
      parser.get().body().data = piece.data();
      parser.get().body().size = piece.size();
      self->arm(self->deadline_,
                milliseconds(self->request_.between_bytes_timeout_ns,
                             self->shared_->config.between_bytes_ms_max),
                "connection-read-timeout");
      co_await http::async_read_some(stream, buffer, parser,
                                     asio::redirect_error(asio::use_awaitable, failed));
      self->deadline_.disarm();
      if (failed == http::error::need_buffer) failed = {};
      pipe->write({piece.data(), piece.size() - parser.get().body().size});
      self->check(failed, "HTTP-response-incomplete");
    }
    pipe->end();
  }

  const std::shared_ptr<Shared> shared_;
  Places places_;  ///< until the body's end
  const HttpDestination destination_;
  HttpCallRequest request_;
  Done done_;  ///< null: told, or cancelled
  const asio::strand<asio::io_context::executor_type> strand_;
  std::optional<WorkQueue::Ticket> lookup_;
  std::optional<Result<NameLookup::Addresses>> looked_up_;
  NameLookup::Addresses addresses_;
  asio::ssl::stream<tcp::socket> stream_;
  Deadline deadline_, body_deadline_;
  Signal body_signal_, read_signal_;
  BodyPipeRef answer_body_;
  std::string reason_;
  bool closed_ = false;
};

class Client final : public HttpClient {
 public:
  Client(IoThreads& threads, std::shared_ptr<Shared> shared)
      : io_(threads.impl().io), shared_(std::move(shared)) {}
  ~Client() override { shared_->names.stop(); }  // they post to `io_`

  std::optional<HttpFailure> refusal(const HttpRequestHead& head) const override {
    const auto destination = parse_destination(head.scheme, head.authority);
    if (!destination.ok())
      return HttpFailure{"HTTP-request-URI-invalid", destination.error().message};
    if (!shared_->policy.allows(*destination))
      return HttpFailure{"HTTP-request-denied", "the operator's http_allow does not name the host"};
    return std::nullopt;
  }

  std::shared_ptr<void> start(HttpCallRequest request,
                              std::function<void(HttpCallAnswer)> done) override {
    std::optional<HttpFailure> failure = refusal(request.head);
    Places places;
    if (!failure && !request.user.empty()) {
      places.of_user = shared_->users.enter(request.user);
      if (!places.of_user) failure = HttpFailure{"connection-limit-reached", "of one user"};
    }
    if (!failure) {
      places.of_all = shared_->all.enter({});
      if (!places.of_all) failure = HttpFailure{"connection-limit-reached", "of all users"};
    }
    if (failure) {
      if (request.body) request.body->cancel();
      done({std::move(failure), {}, nullptr});
      return nullptr;
    }
    auto destination = parse_destination(request.head.scheme, request.head.authority);
    auto call = std::make_shared<Call>(io_, shared_, std::move(*destination), std::move(request),
                                       std::move(done), std::move(places));
    call->start();
    return {nullptr, [call](void*) { call->cancel(); }};
  }

 private:
  asio::io_context& io_;
  const std::shared_ptr<Shared> shared_;
};

}  // namespace

Result<std::unique_ptr<HttpClient>> HttpClient::create(IoThreads& threads,
                                                       const HttpClientConfig& config) {
  auto shared = std::make_shared<Shared>(config);
  PIE_TRY_ASSIGN(shared->policy, HostPolicy::parse(config.allow));
  error_code failed;
  shared->tls.set_default_verify_paths(failed);
  shared->tls.set_options(asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1, failed);
  if (!config.ca_file.empty()) shared->tls.load_verify_file(config.ca_file, failed);
  if (failed)
    return Error{ErrorCode::kInvalidArgument, "[http_ca_file] got " + config.ca_file + " (" +
                                                  failed.message() +
                                                  "), expected a PEM file of certificates"};
  return std::unique_ptr<HttpClient>(std::make_unique<Client>(threads, std::move(shared)));
}

}  // namespace pie::net
