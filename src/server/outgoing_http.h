#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "base/user_name.h"
#include "net/http_client.h"
#include "wasi/http.h"

namespace pie::server {

/// Requests of programs to others, by the client of the network's layer. `internal` has no share.
class OutgoingHttp final : public wasi::HttpClientPort {
 public:
  explicit OutgoingHttp(net::HttpClient& client) : client_(client) {}
  std::optional<HttpFailure> refusal(const HttpRequestHead& head) override {
    return client_.refusal(head);
  }
  std::shared_ptr<void> start(HttpCallRequest request,
                              std::function<void(HttpCallAnswer)> done) override {
    if (request.user == kInternalUser) request.user.clear();
    return client_.start(std::move(request), std::move(done));
  }

 private:
  net::HttpClient& client_;
};

}  // namespace pie::server
