#include "net/http_client.h"

#include <memory>
#include <optional>
#include <utility>

#include "base/user_name.h"
#include "net/host_policy.h"
#include "net/io_context.h"
#include "net/outgoing_call.h"
#include "net/tls.h"

namespace pie::net {
namespace {

namespace asio = boost::asio;

class AsioHttpClient final : public HttpClient {
 public:
  AsioHttpClient(IoThreads& threads, std::shared_ptr<OutgoingShared> shared)
      : io_(threads.impl().io), shared_(std::move(shared)) {}
  ~AsioHttpClient() override { shared_->names.stop(); }  // they post to `io_`

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
    OutgoingPlaces places;
    if (!failure && !request.user.empty() && request.user != kInternalUser) {
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
    auto call =
        std::make_shared<OutgoingCall>(io_, shared_, std::move(*destination), std::move(request),
                                       std::move(done), std::move(places));
    call->start();
    return {nullptr, [call](void*) { call->cancel(); }};
  }

 private:
  asio::io_context& io_;
  const std::shared_ptr<OutgoingShared> shared_;
};

}  // namespace

Result<std::unique_ptr<HttpClient>> HttpClient::create(IoThreads& threads,
                                                       const HttpClientConfig& config) {
  auto shared = std::make_shared<OutgoingShared>(config);
  PIE_TRY_ASSIGN(shared->policy, HostPolicy::parse(config.allow));
  PIE_TRY_ASSIGN(shared->tls, client_tls(config.ca_file, "http_ca_file"));
  return std::unique_ptr<HttpClient>(std::make_unique<AsioHttpClient>(threads, std::move(shared)));
}

}  // namespace pie::net
