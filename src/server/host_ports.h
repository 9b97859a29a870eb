#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ledger.h"
#include "base/user_name.h"
#include "base/work_queue.h"
#include "host/ports.h"
#include "instance/bus.h"
#include "net/http_client.h"
#include "store/store.h"
#include "wasi/http.h"

namespace pie::server {

/// The programs' key-value pairs, kept in the store: read and written by a thread of its own, so
/// that only who asked waits for the disk, and fairly between users.
class StoreKvs final : public host::KvsPort {
 public:
  /// `user_bytes_max`: keys and values of one user together; 0 = unlimited. All outlive it.
  StoreKvs(store::Kvs& kvs, Ledger& ledger, uint64_t user_bytes_max)
      : kvs_(kvs), ledger_(ledger), user_bytes_max_(user_bytes_max) {}

  void get(const std::string& user, std::string key,
           Done<std::optional<std::string>> done) override;
  void set(const std::string& user, std::string key, std::string value, Done<void> done) override;
  void remove(const std::string& user, std::string key, Done<void> done) override;
  void exists(const std::string& user, std::string key, Done<bool> done) override;
  void list_keys(const std::string& user, uint64_t bytes_max,
                 Done<std::vector<std::string>> done) override;

 private:
  template <class T>
  void post(const std::string& user, Done<T> done, std::function<Result<T>()> work);
  std::shared_ptr<Quota> cpu_of(const std::string& user) {
    return part_of(ledger_.of(user), &UserQuotas::cpu);
  }

  store::Kvs& kvs_;
  Ledger& ledger_;
  const uint64_t user_bytes_max_;
  WorkQueue queue_{{.name = "kvs", .owner_pending_max = 16'384}};
};

/// Topics within this process.
class LocalBus final : public host::BusPort {
 public:
  void broadcast(const std::string& user, const std::string& topic,
                 const Message& message) override {
    bus_.broadcast(user, topic, message);
  }
  Result<uint64_t> subscribe(const std::string& user, const std::string& topic,
                             Deliver deliver) override {
    return bus_.subscribe(user, topic, std::move(deliver));
  }
  void unsubscribe(uint64_t token) override { bus_.unsubscribe(token); }

 private:
  instance::Bus bus_;
};

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
