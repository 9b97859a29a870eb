#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "wasi/http_objects.h"
#include "wasi/interfaces.h"
#include "wasm/host_functions.h"
#include "wasm/wit_result.h"

namespace pie::wasi {
namespace {

using wasm::Err;
using wasm::Ok;
using wasm::WitResult;

/// Requests of one instance that are under way.
constexpr uint32_t kRequestsMax = 64;

/// Behind `outgoing-request`.
struct OutgoingRequest final : wasm::Object {
  static constexpr std::string_view kResource = "wasi:http/types/outgoing-request";
  std::string method = "GET";
  std::optional<std::string> target, authority;
  std::optional<std::string> scheme;  ///< "http", "https", or what the program calls it
  OutgoingMessage message;
};

/// Behind `request-options`.
struct RequestOptions final : wasm::Object {
  static constexpr std::string_view kResource = "wasi:http/types/request-options";
  std::optional<uint64_t> connect_ns, first_byte_ns, between_bytes_ns;
};

/// Behind `incoming-response`.
class IncomingResponse final : public wasm::Object {
 public:
  static constexpr std::string_view kResource = "wasi:http/types/incoming-response";
  IncomingResponse(WasiContext& context, HttpCallAnswer answer)
      : status_(answer.head.status),
        fields_(std::make_shared<Fields>(context, std::move(answer.head.fields))),
        pipe_(std::move(answer.body)) {}
  ~IncomingResponse() override {
    if (pipe_) pipe_->cancel();
  }
  uint16_t status() const { return status_; }
  std::shared_ptr<Fields> headers() const { return std::make_shared<Fields>(fields_->shared()); }
  /// Its body, once; null then.
  std::shared_ptr<IncomingBody> consume(WasiContext& context) {
    if (!pipe_) return nullptr;
    return std::make_shared<IncomingBody>(context, std::exchange(pipe_, nullptr));
  }

 private:
  const uint16_t status_;
  const std::shared_ptr<Fields> fields_;
  BodyPipeRef pipe_;
};

/// Behind `future-incoming-response`.
class FutureResponse final : public wasm::Object {
 public:
  static constexpr std::string_view kResource = "wasi:http/types/future-incoming-response";
  /// `request`: what it is called on stderr.
  FutureResponse(WasiContext& context, std::string request)
      : request_(std::move(request)), count_(context.outgoing_requests()) {}
  ~FutureResponse() override {
    call_ = nullptr;  // no answer comes from now on, but one may be under way
    state_->drop();
    count_->fetch_sub(1);
  }

  void start(OutgoingHttp& client, HttpCallRequest request) {
    call_ = client.start(std::move(request), [state = state_](HttpCallAnswer answer) {
      state->answered(std::move(answer));
    });
  }
  const wasm::ReadinessRef& event() const { return state_->event; }

  using Response = WitResult<std::shared_ptr<IncomingResponse>, HttpErrorCode>;
  /// The answer, once.
  std::optional<WitResult<Response>> get(WasiContext& context) {
    auto answer = state_->take();
    if (!answer && !state_->event->ready()) return std::nullopt;
    if (!answer) return Err();
    if (answer->failure) {
      tell(context, *answer->failure);
      return Ok(Response(Err(HttpErrorCode{*answer->failure})));
    }
    return Ok(Response(Ok(std::make_shared<IncomingResponse>(context, std::move(*answer)))));
  }

 private:
  /// Shared with the client's callback.
  struct State {
    const wasm::ReadinessRef event = std::make_shared<wasm::Readiness>();
    std::mutex mutex;
    std::optional<HttpCallAnswer> answer;
    bool dropped = false;

    void answered(HttpCallAnswer one) {
      if (keep(one) == Kept::kNo && one.body) one.body->cancel();
      event->fire();
    }
    enum class Kept { kNo, kYes };
    /// Takes it, unless nobody wants it any more.
    Kept keep(HttpCallAnswer& one) {
      const std::lock_guard lock(mutex);
      if (dropped) return Kept::kNo;
      answer = std::move(one);
      return Kept::kYes;
    }
    std::optional<HttpCallAnswer> take() {
      const std::lock_guard lock(mutex);
      return std::exchange(answer, std::nullopt);
    }
    void drop() {
      std::optional<HttpCallAnswer> untaken;
      {
        const std::lock_guard lock(mutex);
        dropped = true;
        untaken = std::exchange(answer, std::nullopt);
      }
      if (untaken && untaken->body) untaken->body->cancel();
    }
  };
  /// error-code has no place for why there is no secure connection: stderr has.
  void tell(WasiContext& context, const HttpFailure& failure) const {
    if (!failure.code.starts_with("TLS-") || failure.detail.empty()) return;
    if (context.output().writable_bytes() == 0) return;
    context.output().write_stderr("[" + request_ + "] " + failure.code + ": " + failure.detail +
                                  "\n");
  }

  const std::string request_;
  const std::shared_ptr<std::atomic<uint32_t>> count_;
  const std::shared_ptr<State> state_ = std::make_shared<State>();
  std::shared_ptr<void> call_;
};

/// What is wrong with a request; nothing when it can be sent.
std::optional<HttpFailure> objection(const OutgoingRequest& request) {
  if (!request.authority || request.authority->empty())
    return HttpFailure{"HTTP-request-URI-invalid", "no authority"};
  if (request.scheme && *request.scheme != "http" && *request.scheme != "https")
    return HttpFailure{"HTTP-protocol-error", "a scheme that is neither http nor https"};
  return std::nullopt;
}

HttpCallRequest call_request(OutgoingRequest& request, const RequestOptions& options) {
  HttpCallRequest made;
  made.head = {request.method, request.scheme.value_or("https"), *request.authority,
               request.target.value_or("/"), request.message.fields->get()};
  made.body = request.message.body;
  made.body_bytes = content_length(request.message.fields->get());
  made.connect_timeout_ns = options.connect_ns.value_or(0);
  made.first_byte_timeout_ns = options.first_byte_ns.value_or(0);
  made.between_bytes_timeout_ns = options.between_bytes_ns.value_or(0);
  return made;
}

/// The writer of a request that is not sent must not wait for it.
Err<HttpErrorCode> refused(const OutgoingRequest& request, HttpFailure failure) {
  if (request.message.body) request.message.body->cancel();
  return {{std::move(failure)}};
}

WitResult<std::shared_ptr<FutureResponse>, HttpErrorCode> handle(
    WasiContext& context, OutgoingRequest& request,
    const std::optional<std::shared_ptr<RequestOptions>>& options) {
  if (!context.http()) return refused(request, {"HTTP-request-denied", "no host is allowed"});
  if (auto wrong = objection(request)) return refused(request, *wrong);
  HttpCallRequest made = call_request(request, options ? **options : RequestOptions{});
  made.user = context.user();
  if (auto denied = context.http()->refusal(made.head)) return refused(request, *denied);
  if (context.outgoing_requests()->fetch_add(1) >= kRequestsMax) {
    context.outgoing_requests()->fetch_sub(1);
    return refused(request, {"connection-limit-reached", ""});
  }
  auto future = std::make_shared<FutureResponse>(
      context, made.head.method + " " + made.head.scheme + "://" + made.head.authority);
  future->start(*context.http(), std::move(made));
  return Ok(std::move(future));
}

/// A getter and a setter of one optional text, which `valid` checks.
void define_text(wasm::HostFunctions& functions, const std::string& name,
                 std::optional<std::string> OutgoingRequest::* member,
                 bool (*valid)(std::string_view)) {
  const std::string method = "[method]outgoing-request.";
  functions.add(kHttpTypes, method + name,
                [member](OutgoingRequest& self) { return self.*member; });
  functions.add(
      kHttpTypes, method + "set-" + name,
      [member, valid](OutgoingRequest& self, std::optional<std::string> text) -> WitResult<> {
        if (text)  // a fragment is never sent
          text->resize(std::min(text->find('#'), text->size()));
        if (text && !valid(*text)) return Err();
        self.*member = std::move(text);
        return Ok();
      });
}

std::shared_ptr<OutgoingRequest> construct_request(WasiContext& context, Fields& headers) {
  auto request = std::make_shared<OutgoingRequest>();
  request->message.fields = std::make_shared<Fields>(context, headers.get());
  return request;
}

WitResult<std::shared_ptr<OutgoingBody>> request_body(WasiContext& context, OutgoingRequest& self) {
  auto body = self.message.take_body(context, "HTTP-request-body-size");
  if (!body) return Err();
  return Ok(std::move(body));
}

WitResult<> set_method(OutgoingRequest& self, HttpMethod method) {
  if (method.name.empty() || method.name == "CONNECT") return Err();
  self.method = std::move(method.name);
  return Ok();
}

std::optional<HttpScheme> scheme(OutgoingRequest& self) {
  return self.scheme ? std::optional(HttpScheme{*self.scheme}) : std::nullopt;
}

WitResult<> set_scheme(OutgoingRequest& self, std::optional<HttpScheme> scheme) {
  self.scheme = scheme ? std::optional(std::move(scheme->name)) : std::nullopt;
  return Ok();
}

void define_request(wasm::HostFunctions& functions) {
  const std::string method = "[method]outgoing-request.";
  functions.resource(OutgoingRequest::kResource);
  functions.add(kHttpTypes, "[constructor]outgoing-request", construct_request);
  functions.add(kHttpTypes, method + "body", request_body);
  functions.add(kHttpTypes, method + "method",
                [](OutgoingRequest& self) { return HttpMethod{self.method}; });
  functions.add(kHttpTypes, method + "set-method", set_method);
  define_text(functions, "path-with-query", &OutgoingRequest::target, is_http_target);
  define_text(functions, "authority", &OutgoingRequest::authority, is_http_authority);
  functions.add(kHttpTypes, method + "scheme", scheme);
  functions.add(kHttpTypes, method + "set-scheme", set_scheme);
  functions.add(kHttpTypes, method + "headers", [](OutgoingRequest& self) {
    return std::make_shared<Fields>(self.message.fields->shared());
  });
}

void define_options(wasm::HostFunctions& functions) {
  const std::string method = "[method]request-options.";
  functions.resource(RequestOptions::kResource);
  functions.add(kHttpTypes, "[constructor]request-options",
                [] { return std::make_shared<RequestOptions>(); });
  const auto define = [&](const std::string& name,
                          std::optional<uint64_t> RequestOptions::* member) {
    functions.add(kHttpTypes, method + name,
                  [member](RequestOptions& self) { return self.*member; });
    functions.add(kHttpTypes, method + "set-" + name,
                  [member](RequestOptions& self, std::optional<uint64_t> ns) -> WitResult<> {
                    self.*member = ns;
                    return Ok();
                  });
  };
  define("connect-timeout", &RequestOptions::connect_ns);
  define("first-byte-timeout", &RequestOptions::first_byte_ns);
  define("between-bytes-timeout", &RequestOptions::between_bytes_ns);
}

WitResult<std::shared_ptr<IncomingBody>> consume(WasiContext& context, IncomingResponse& self) {
  auto body = self.consume(context);
  if (!body) return Err();
  return Ok(std::move(body));
}

std::optional<HttpErrorCode> http_error_code(StreamError& error) {
  if (error.failure().code.empty()) return std::nullopt;
  return HttpErrorCode{error.failure()};
}

void define_response(wasm::HostFunctions& functions) {
  functions.resource(FutureResponse::kResource);
  functions.add(kHttpTypes, "[method]future-incoming-response.subscribe",
                [](FutureResponse& self) { return self.event(); });
  functions.add(kHttpTypes, "[method]future-incoming-response.get",
                [](WasiContext& context, FutureResponse& self) { return self.get(context); });
  functions.resource(IncomingResponse::kResource);
  functions.add(kHttpTypes, "[method]incoming-response.status",
                [](IncomingResponse& self) { return self.status(); });
  functions.add(kHttpTypes, "[method]incoming-response.headers",
                [](IncomingResponse& self) { return self.headers(); });
  functions.add(kHttpTypes, "[method]incoming-response.consume", consume);
}

}  // namespace

void define_http_outgoing(wasm::HostFunctions& functions) {
  define_request(functions);
  define_options(functions);
  define_response(functions);
  functions.add("wasi:http/outgoing-handler", "handle", handle);
  functions.add(kHttpTypes, "http-error-code", http_error_code);
}

}  // namespace pie::wasi
