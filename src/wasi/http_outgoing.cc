#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "wasi/http_objects.h"
#include "wasi/interfaces.h"

namespace pie::wasi {
namespace {

using wasm::Call;
using wasm::Value;

/// Requests of one instance that are under way.
constexpr uint32_t kRequestsMax = 64;

/// Behind `outgoing-request`.
struct OutgoingRequest final : wasm::Object {
  std::string method = "GET";
  std::optional<std::string> target, authority;
  std::optional<std::string> scheme;  ///< "http", "https", or what the program calls it
  OutgoingMessage message;
};

/// Behind `request-options`.
struct RequestOptions final : wasm::Object {
  std::optional<uint64_t> connect_ns, first_byte_ns, between_bytes_ns;
};

/// Behind `incoming-response`.
class IncomingResponse final : public wasm::Object {
 public:
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
  /// `request`: what it is called on stderr.
  FutureResponse(WasiContext& context, std::string request)
      : request_(std::move(request)), count_(context.outgoing_requests()) {}
  ~FutureResponse() override {
    call_ = nullptr;  // no answer comes from now on, but one may be under way
    state_->drop();
    count_->fetch_sub(1);
  }

  void start(HttpClientPort& client, HttpCallRequest request) {
    call_ = client.start(std::move(request), [state = state_](HttpCallAnswer answer) {
      state->answered(std::move(answer));
    });
  }
  const wasm::EventRef& event() const { return state_->event; }

  Value get(WasiContext& context) {
    auto answer = state_->take();
    if (!answer) return state_->event->ready() ? Value::some(Value::err()) : Value::none();
    if (answer->failure) {
      tell(context, *answer->failure);
      return Value::some(Value::ok(Value::err(error_code(*answer->failure))));
    }
    auto response = std::make_shared<IncomingResponse>(context, std::move(*answer));
    return Value::some(Value::ok(Value::ok(http_handle("incoming-response", std::move(response)))));
  }

 private:
  /// Shared with the client's callback.
  struct State {
    const wasm::EventRef event = std::make_shared<wasm::Event>(false);
    std::mutex mutex;
    std::optional<HttpCallAnswer> answer;
    bool dropped = false;

    void answered(HttpCallAnswer one) {
      {
        const std::lock_guard lock(mutex);
        if (!dropped) answer = std::move(one);
      }
      if (one.body) one.body->cancel();  // moved away, unless nobody wants it
      event->fire();
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
Value refused(const OutgoingRequest& request, const HttpFailure& failure) {
  if (request.message.body) request.message.body->cancel();
  return Value::err(error_code(failure));
}

void handle(Call& call) {
  const auto request = call.object<OutgoingRequest>(0);
  const auto options = call.objects<RequestOptions>(1);
  WasiContext& context = context_of(call);
  if (!context.http())
    return call.ret(refused(*request, {"HTTP-request-denied", "no host is allowed"}));
  if (auto wrong = objection(*request)) return call.ret(refused(*request, *wrong));
  HttpCallRequest made = call_request(*request, options.empty() ? RequestOptions{} : *options[0]);
  made.user = context.user();
  if (auto denied = context.http()->refusal(made.head)) return call.ret(refused(*request, *denied));
  if (context.outgoing_requests()->fetch_add(1) >= kRequestsMax) {
    context.outgoing_requests()->fetch_sub(1);
    return call.ret(refused(*request, {"connection-limit-reached", ""}));
  }
  auto future = std::make_shared<FutureResponse>(
      context, made.head.method + " " + made.head.scheme + "://" + made.head.authority);
  future->start(*context.http(), std::move(made));
  call.ret(Value::ok(http_handle("future-incoming-response", std::move(future))));
}

Value optional_text(const std::optional<std::string>& text) {
  return text ? Value::some(Value::string(*text)) : Value::none();
}

/// A getter and a setter of one optional text, which `valid` checks.
void define_text(wasm::Registry& registry, const std::string& name,
                 std::optional<std::string> OutgoingRequest::* member,
                 bool (*valid)(std::string_view)) {
  const std::string method = "[method]outgoing-request.";
  registry.function(kHttpTypes, method + name, [member](Call& call) {
    call.ret(optional_text(*call.object<OutgoingRequest>(0).*member));
  });
  registry.function(kHttpTypes, method + "set-" + name, [member, valid](Call& call) {
    auto text = call.optional_string(1);
    if (text) text->resize(std::min(text->find('#'), text->size()));  // a fragment is never sent
    if (text && !valid(*text)) return call.ret(Value::err());
    *call.object<OutgoingRequest>(0).*member = std::move(text);
    call.ret(Value::ok());
  });
}

void define_request(wasm::Registry& registry) {
  const std::string method = "[method]outgoing-request.";
  registry.resource(kHttpTypes, "outgoing-request");
  registry.function(kHttpTypes, "[constructor]outgoing-request", [](Call& call) {
    auto request = std::make_shared<OutgoingRequest>();
    request->message.fields =
        std::make_shared<Fields>(context_of(call), call.object<Fields>(0)->get());
    call.ret(http_handle("outgoing-request", std::move(request)));
  });
  registry.function(kHttpTypes, method + "body", [](Call& call) {
    auto body = call.object<OutgoingRequest>(0)->message.take_body(context_of(call),
                                                                   "HTTP-request-body-size");
    call.ret(body ? Value::ok(http_handle("outgoing-body", std::move(body))) : Value::err());
  });
  registry.function(kHttpTypes, method + "method", [](Call& call) {
    call.ret(method_value(call.object<OutgoingRequest>(0)->method));
  });
  registry.function(kHttpTypes, method + "set-method", [](Call& call) {
    std::string name = method_name(call.variant(1));
    if (name.empty() || name == "CONNECT") return call.ret(Value::err());
    call.object<OutgoingRequest>(0)->method = std::move(name);
    call.ret(Value::ok());
  });
  define_text(registry, "path-with-query", &OutgoingRequest::target, is_http_target);
  define_text(registry, "authority", &OutgoingRequest::authority, is_http_authority);
  registry.function(kHttpTypes, method + "scheme", [](Call& call) {
    const auto& scheme = call.object<OutgoingRequest>(0)->scheme;
    call.ret(scheme ? Value::some(scheme_value(*scheme)) : Value::none());
  });
  registry.function(kHttpTypes, method + "set-scheme", [](Call& call) {
    const auto scheme = call.optional_variant(1);
    auto& to = call.object<OutgoingRequest>(0)->scheme;
    if (!scheme)
      to = std::nullopt;
    else
      to = scheme->name == "HTTP" ? "http" : scheme->name == "HTTPS" ? "https" : scheme->text;
    call.ret(Value::ok());
  });
  registry.function(kHttpTypes, method + "headers", [](Call& call) {
    const auto fields = call.object<OutgoingRequest>(0)->message.fields;
    call.ret(http_handle("fields", std::make_shared<Fields>(fields->shared())));
  });
}

void define_options(wasm::Registry& registry) {
  const std::string method = "[method]request-options.";
  registry.resource(kHttpTypes, "request-options");
  registry.function(kHttpTypes, "[constructor]request-options", [](Call& call) {
    call.ret(http_handle("request-options", std::make_shared<RequestOptions>()));
  });
  const auto define = [&](const std::string& name,
                          std::optional<uint64_t> RequestOptions::* member) {
    registry.function(kHttpTypes, method + name, [member](Call& call) {
      const std::optional<uint64_t> ns = *call.object<RequestOptions>(0).*member;
      call.ret(ns ? Value::some(Value::u64(*ns)) : Value::none());
    });
    registry.function(kHttpTypes, method + "set-" + name, [member](Call& call) {
      *call.object<RequestOptions>(0).*member = call.optional_u64(1);
      call.ret(Value::ok());
    });
  };
  define("connect-timeout", &RequestOptions::connect_ns);
  define("first-byte-timeout", &RequestOptions::first_byte_ns);
  define("between-bytes-timeout", &RequestOptions::between_bytes_ns);
}

void define_response(wasm::Registry& registry) {
  registry.resource(kHttpTypes, "future-incoming-response");
  registry.function(kHttpTypes, "[method]future-incoming-response.subscribe", [](Call& call) {
    call.ret(wasm::make_pollable(call.object<FutureResponse>(0)->event()));
  });
  registry.function(kHttpTypes, "[method]future-incoming-response.get", [](Call& call) {
    call.ret(call.object<FutureResponse>(0)->get(context_of(call)));
  });
  registry.resource(kHttpTypes, "incoming-response");
  registry.function(kHttpTypes, "[method]incoming-response.status", [](Call& call) {
    call.ret(Value::u16(call.object<IncomingResponse>(0)->status()));
  });
  registry.function(kHttpTypes, "[method]incoming-response.headers", [](Call& call) {
    call.ret(http_handle("fields", call.object<IncomingResponse>(0)->headers()));
  });
  registry.function(kHttpTypes, "[method]incoming-response.consume", [](Call& call) {
    auto body = call.object<IncomingResponse>(0)->consume(context_of(call));
    call.ret(body ? Value::ok(http_handle("incoming-body", std::move(body))) : Value::err());
  });
}

}  // namespace

void define_http_outgoing(wasm::Registry& registry) {
  define_request(registry);
  define_options(registry);
  define_response(registry);
  registry.function("wasi:http/outgoing-handler", "handle", handle);
  registry.function(kHttpTypes, "http-error-code", [](Call& call) {
    const HttpFailure& failure = call.object<StreamError>(0)->failure();
    call.ret(failure.code.empty() ? Value::none() : Value::some(error_code(failure)));
  });
}

}  // namespace pie::wasi
