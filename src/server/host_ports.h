#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "host/ports.h"
#include "instance/bus.h"
#include "net/http_client.h"
#include "store/store.h"
#include "wasi/http.h"

namespace pie::server {

/// The programs' key-value pairs, kept in the store.
class StoreKvs final : public host::KvsPort {
 public:
  /// `user_bytes_max`: keys and values of one user together; 0 = unlimited.
  StoreKvs(store::Kvs& kvs, uint64_t user_bytes_max) : kvs_(kvs), user_bytes_max_(user_bytes_max) {}
  Result<std::optional<std::string>> get(const std::string& user, const std::string& key) override {
    return kvs_.get(user, key);
  }
  Result<void> set(const std::string& user, const std::string& key,
                   const std::string& value) override {
    return kvs_.set(user, key, value, user_bytes_max_);
  }
  Result<void> remove(const std::string& user, const std::string& key) override {
    return kvs_.remove(user, key);
  }
  Result<bool> exists(const std::string& user, const std::string& key) override {
    return kvs_.exists(user, key);
  }
  Result<std::vector<std::string>> list_keys(const std::string& user) override {
    return kvs_.list_keys(user);
  }

 private:
  store::Kvs& kvs_;
  const uint64_t user_bytes_max_;
};

/// Topics within this process.
class LocalBus final : public host::BusPort {
 public:
  void broadcast(const std::string& user, const std::string& topic,
                 const std::string& message) override {
    bus_.broadcast(user, topic, message);
  }
  uint64_t subscribe(const std::string& user, const std::string& topic, Deliver deliver) override {
    return bus_.subscribe(user, topic, std::move(deliver));
  }
  void unsubscribe(uint64_t token) override { bus_.unsubscribe(token); }

 private:
  instance::Bus bus_;
};

/// Requests of programs to others, by the client of the network's layer.
class OutgoingHttp final : public wasi::HttpClientPort {
 public:
  explicit OutgoingHttp(net::HttpClient& client) : client_(client) {}
  std::optional<HttpFailure> refusal(const HttpRequestHead& head) override {
    return client_.refusal(head);
  }
  std::shared_ptr<void> start(HttpCallRequest request,
                              std::function<void(HttpCallAnswer)> done) override {
    return client_.start(std::move(request), std::move(done));
  }

 private:
  net::HttpClient& client_;
};

}  // namespace pie::server
