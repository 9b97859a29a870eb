#include <memory>
#include <optional>
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

constexpr uint16_t kStatusMin = 200, kStatusMax = 999;  // 1xx are no answers

/// Behind `incoming-request`.
class IncomingRequest final : public wasm::Object {
 public:
  static constexpr std::string_view kResource = "wasi:http/types/incoming-request";
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
  static constexpr std::string_view kResource = "wasi:http/types/outgoing-response";
  uint16_t status = 200;
  OutgoingMessage message;
};

/// Behind `response-outparam`.
struct ResponseOutparam final : wasm::Object {
  static constexpr std::string_view kResource = "wasi:http/types/response-outparam";
  explicit ResponseOutparam(std::shared_ptr<IncomingExchange> one) : exchange(std::move(one)) {}
  const std::shared_ptr<IncomingExchange> exchange;
};

void set_response(ResponseOutparam& out,
                  const WitResult<std::shared_ptr<OutgoingResponse>, HttpErrorCode>& response) {
  if (!response.ok())
    return out.exchange->respond_failure({response.error().failure.code, "the program's answer"});
  const OutgoingResponse& answer = *response.value();
  out.exchange->respond({answer.status, answer.message.fields->get()}, answer.message.body);
}

std::optional<std::string> optional_text(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional(text);
}

WitResult<std::shared_ptr<IncomingBody>> consume(WasiContext& context, IncomingRequest& self) {
  auto body = self.consume(context);
  if (!body) return Err();
  return Ok(std::move(body));
}

void define_request(wasm::HostFunctions& functions) {
  const std::string method = "[method]incoming-request.";
  functions.resource(IncomingRequest::kResource);
  functions.add(kHttpTypes, method + "method",
                [](IncomingRequest& self) { return HttpMethod{self.head().method}; });
  functions.add(kHttpTypes, method + "path-with-query",
                [](IncomingRequest& self) { return optional_text(self.head().target); });
  functions.add(kHttpTypes, method + "scheme", [](IncomingRequest& self) {
    return std::optional(HttpScheme{self.head().scheme});
  });
  functions.add(kHttpTypes, method + "authority",
                [](IncomingRequest& self) { return optional_text(self.head().authority); });
  functions.add(kHttpTypes, method + "headers",
                [](IncomingRequest& self) { return self.headers(); });
  functions.add(kHttpTypes, method + "consume", consume);
}

std::shared_ptr<OutgoingResponse> construct_response(WasiContext& context, Fields& headers) {
  auto response = std::make_shared<OutgoingResponse>();
  response->message.fields = std::make_shared<Fields>(context, headers.get());
  return response;
}

WitResult<> set_status_code(OutgoingResponse& self, uint16_t status) {
  if (status < kStatusMin || status > kStatusMax) return Err();
  self.status = status;
  return Ok();
}

WitResult<std::shared_ptr<OutgoingBody>> response_body(WasiContext& context,
                                                       OutgoingResponse& self) {
  auto body = self.message.take_body(context, "HTTP-response-body-size");
  if (!body) return Err();
  return Ok(std::move(body));
}

void define_response(wasm::HostFunctions& functions) {
  const std::string method = "[method]outgoing-response.";
  functions.resource(OutgoingResponse::kResource);
  functions.add(kHttpTypes, "[constructor]outgoing-response", construct_response);
  functions.add(kHttpTypes, method + "status-code",
                [](OutgoingResponse& self) { return self.status; });
  functions.add(kHttpTypes, method + "set-status-code", set_status_code);
  functions.add(kHttpTypes, method + "headers", [](OutgoingResponse& self) {
    return std::make_shared<Fields>(self.message.fields->shared());
  });
  functions.add(kHttpTypes, method + "body", response_body);
  functions.resource(ResponseOutparam::kResource);
  functions.add(kHttpTypes, "[static]response-outparam.set", set_response);
}

}  // namespace

std::vector<wasm::OwnedHandle> handler_arguments(std::shared_ptr<IncomingExchange> exchange) {
  return {wasm::owned_handle(std::make_shared<IncomingRequest>(exchange)),
          wasm::owned_handle(std::make_shared<ResponseOutparam>(exchange))};
}

void define_http_incoming(wasm::HostFunctions& functions) {
  define_request(functions);
  define_response(functions);
}

}  // namespace pie::wasi
