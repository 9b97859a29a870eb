#include <memory>
#include <utility>
#include <vector>

#include "wasi/http_objects.h"
#include "wasi/interfaces.h"

namespace pie::wasi {
namespace {

using wasm::Call;
using wasm::Value;

constexpr uint16_t kStatusMin = 200, kStatusMax = 999;  // 1xx are no answers

/// Behind `incoming-request`.
class IncomingRequest final : public wasm::Object {
 public:
  explicit IncomingRequest(std::shared_ptr<IncomingExchange> exchange)
      : exchange_(std::move(exchange)) {}
  ~IncomingRequest() override {
    if (!consumed_) exchange_->body()->cancel();
  }

  const HttpRequestHead& head() const { return exchange_->head(); }
  std::shared_ptr<Fields> headers() const {
    return std::make_shared<Fields>(
        std::shared_ptr<const HttpFields>(exchange_, &exchange_->head().fields));
  }
  /// Its body, once; null then.
  std::shared_ptr<IncomingBody> consume(WasiContext& context) {
    if (std::exchange(consumed_, true)) return nullptr;
    return std::make_shared<IncomingBody>(context, exchange_->body());
  }

 private:
  const std::shared_ptr<IncomingExchange> exchange_;
  bool consumed_ = false;
};

/// Behind `outgoing-response`.
struct OutgoingResponse final : wasm::Object {
  uint16_t status = 200;
  OutgoingMessage message;
};

/// Behind `response-outparam`.
struct ResponseOutparam final : wasm::Object {
  explicit ResponseOutparam(std::shared_ptr<IncomingExchange> one) : exchange(std::move(one)) {}
  const std::shared_ptr<IncomingExchange> exchange;
};

void set_response(Call& call) {
  const auto out = call.object<ResponseOutparam>(0);
  if (!call.result_is_ok(1))
    return out->exchange->respond_failure({call.result_error(1), "the program's answer"});
  const auto responses = call.objects<OutgoingResponse>(1);
  if (responses.empty()) throw wasm::GuestError("argument 1 is not a live response");
  const OutgoingResponse& response = *responses[0];
  out->exchange->respond({response.status, response.message.fields->get()}, response.message.body);
}

Value optional_text(const std::string& text) {
  return text.empty() ? Value::none() : Value::some(Value::string(text));
}

void define_request(wasm::Registry& registry) {
  const std::string method = "[method]incoming-request.";
  registry.resource(kHttpTypes, "incoming-request");
  registry.function(kHttpTypes, method + "method", [](Call& call) {
    call.ret(method_value(call.object<IncomingRequest>(0)->head().method));
  });
  registry.function(kHttpTypes, method + "path-with-query", [](Call& call) {
    call.ret(optional_text(call.object<IncomingRequest>(0)->head().target));
  });
  registry.function(kHttpTypes, method + "scheme", [](Call& call) {
    call.ret(Value::some(scheme_value(call.object<IncomingRequest>(0)->head().scheme)));
  });
  registry.function(kHttpTypes, method + "authority", [](Call& call) {
    call.ret(optional_text(call.object<IncomingRequest>(0)->head().authority));
  });
  registry.function(kHttpTypes, method + "headers", [](Call& call) {
    call.ret(http_handle("fields", call.object<IncomingRequest>(0)->headers()));
  });
  registry.function(kHttpTypes, method + "consume", [](Call& call) {
    auto body = call.object<IncomingRequest>(0)->consume(context_of(call));
    call.ret(body ? Value::ok(http_handle("incoming-body", std::move(body))) : Value::err());
  });
}

void define_response(wasm::Registry& registry) {
  const std::string method = "[method]outgoing-response.";
  registry.resource(kHttpTypes, "outgoing-response");
  registry.function(kHttpTypes, "[constructor]outgoing-response", [](Call& call) {
    auto response = std::make_shared<OutgoingResponse>();
    response->message.fields =
        std::make_shared<Fields>(context_of(call), call.object<Fields>(0)->get());
    call.ret(http_handle("outgoing-response", std::move(response)));
  });
  registry.function(kHttpTypes, method + "status-code", [](Call& call) {
    call.ret(Value::u16(call.object<OutgoingResponse>(0)->status));
  });
  registry.function(kHttpTypes, method + "set-status-code", [](Call& call) {
    const uint16_t status = call.u16(1);
    if (status < kStatusMin || status > kStatusMax) return call.ret(Value::err());
    call.object<OutgoingResponse>(0)->status = status;
    call.ret(Value::ok());
  });
  registry.function(kHttpTypes, method + "headers", [](Call& call) {
    const auto fields = call.object<OutgoingResponse>(0)->message.fields;
    call.ret(http_handle("fields", std::make_shared<Fields>(fields->shared())));
  });
  registry.function(kHttpTypes, method + "body", [](Call& call) {
    auto body = call.object<OutgoingResponse>(0)->message.take_body(context_of(call),
                                                                    "HTTP-response-body-size");
    call.ret(body ? Value::ok(http_handle("outgoing-body", std::move(body))) : Value::err());
  });
  registry.resource(kHttpTypes, "response-outparam");
  registry.function(kHttpTypes, "[static]response-outparam.set", set_response);
}

}  // namespace

std::vector<Value> handler_arguments(std::shared_ptr<IncomingExchange> exchange) {
  return {http_handle("incoming-request", std::make_shared<IncomingRequest>(exchange)),
          http_handle("response-outparam", std::make_shared<ResponseOutparam>(exchange))};
}

void define_http_incoming(wasm::Registry& registry) {
  define_request(registry);
  define_response(registry);
}

}  // namespace pie::wasi
